#include "participants/kafka/lost_markers.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "participants/kafka/coordinator_call.h"
#include "participants/kafka/error_codes.h"

namespace assent::kafka {
namespace {

// Markers need a few milliseconds. Nothing is asked of the coordinator before.
constexpr absl::Duration kMarkersTake = absl::Milliseconds(100);

const wire::DescribeProducersResponse::Producer* Find(const OpenTransactions& found, std::int64_t producer_id) {
  const auto producer = std::find_if(found.producers.begin(), found.producers.end(),
                                     [&](const auto& candidate) { return candidate.producer_id == producer_id; });
  return producer == found.producers.end() ? nullptr : &*producer;
}

std::string TextOf(const std::vector<TopicPartition>& partitions) {
  std::string text;
  for (const auto& [topic, partition] : partitions) {
    absl::StrAppend(&text, text.empty() ? "" : ", ", "partition ", partition, " of topic \"", topic, "\"");
  }
  return text;
}

std::string TextOf(const EndedTransaction& transaction) {
  return absl::StrCat("transactional id \"", transaction.transactional_id, "\", producer id ", transaction.producer_id,
                      ", epoch ", transaction.epoch);
}

}  // namespace

std::set<TopicPartition> PartitionsOf(const v1::KafkaToken& token) {
  std::set<TopicPartition> partitions;
  for (const auto& topic : token.topics()) {
    for (const std::int32_t partition : topic.partitions()) partitions.insert({topic.topic(), partition});
  }
  return partitions;
}

EndedTransaction EndedAs(const v1::KafkaToken& token, std::uint32_t number, std::int32_t epoch, bool committed) {
  return {.number = number,
          .transactional_id = token.transactional_id(),
          .producer_id = token.producer_id(),
          .epoch = epoch,
          .partitions = PartitionsOf(token),
          .committed = committed};
}

LostMarkers::LostMarkers(Cluster& cluster) : cluster_(cluster), pause_(cluster.options().first_backoff) {}

void LostMarkers::Check(EndedTransaction transaction, Done done) {
  if (transaction.partitions.empty()) return done(Markers::kSeen);
  const absl::Duration now = cluster_.clock().Monotonic();
  auto suspect = std::make_shared<Suspect>();
  suspect->transaction = std::move(transaction);
  suspect->done = std::move(done);
  suspect->ask_after = now + kMarkersTake;
  checks_.push_back(std::move(suspect));
  pause_ = cluster_.options().first_backoff;
  Look();
}

void LostMarkers::Await(std::uint32_t number, absl::Duration patience,
                        absl::AnyInvocable<void(std::optional<Markers>)> done) {
  const SuspectPtr suspect = LastOf(number);
  ASSENT_CHECK(suspect != nullptr, "only a check under way has a verdict to come");
  auto waiting = std::make_shared<Waiting>();
  waiting->done = std::move(done);
  waiting->deadline = cluster_.delayed_calls().After(
      patience, [suspect = std::weak_ptr<Suspect>(suspect), weak = std::weak_ptr<Waiting>(waiting)] {
        const auto checked = suspect.lock();
        const auto late = weak.lock();
        if (checked && late && checked->waiting.remove(late) > 0) late->done(std::nullopt);
      });
  suspect->waiting.push_back(std::move(waiting));
}

LostMarkers::SuspectPtr LostMarkers::LastOf(std::uint32_t number) const {
  const auto found = std::find_if(checks_.rbegin(), checks_.rend(),
                                  [&](const SuspectPtr& suspect) { return suspect->transaction.number == number; });
  return found == checks_.rend() ? nullptr : *found;
}

void LostMarkers::Remember(EndedTransaction transaction, bool leaders_have_markers) {
  auto& of_id = remembered_[transaction.number];
  std::erase_if(of_id, [](const Remembered& before) { return !before.is_doubtful; });
  const bool is_known = std::any_of(of_id.begin(), of_id.end(), [&](const Remembered& before) {
    return before.transaction.epoch == transaction.epoch;  // who was told to end it is told again
  });
  if (is_known) return;
  of_id.push_back(
      {.transaction = std::move(transaction), .is_doubtful = !leaders_have_markers && cluster_.IsTroubled()});
}

std::vector<std::uint32_t> LostMarkers::DoubtAll() {
  std::vector<std::uint32_t> numbers;
  for (auto& [number, of_id] : remembered_) {
    for (Remembered& remembered : of_id) remembered.is_doubtful = true;
    numbers.push_back(number);
  }
  return numbers;
}

bool LostMarkers::IsDoubtful(std::uint32_t number) const {
  const auto found = remembered_.find(number);
  return found != remembered_.end() && std::any_of(found->second.begin(), found->second.end(),
                                                   [](const Remembered& remembered) { return remembered.is_doubtful; });
}

std::optional<EndedTransaction> LostMarkers::TakeDoubtful(std::uint32_t number) {
  const auto found = remembered_.find(number);
  if (found == remembered_.end()) return std::nullopt;
  auto& of_id = found->second;
  std::erase_if(of_id, [](const Remembered& remembered) { return !remembered.is_doubtful; });
  std::optional<EndedTransaction> doubtful;
  if (!of_id.empty()) {
    doubtful = std::move(of_id.front().transaction);
    of_id.erase(of_id.begin());
  }
  if (of_id.empty()) remembered_.erase(found);
  return doubtful;
}

// ---- Looking --------------------------------------------------------------------------------------------------------

void LostMarkers::Look() {
  if (looking_ || pausing_ || checks_.empty()) return;
  looking_ = true;
  std::map<TopicPartition, Broker*> leaders;
  std::set<std::uint32_t> numbers;
  for (const SuspectPtr& suspect : checks_) {
    const bool is_first = numbers.insert(suspect->transaction.number).second;
    suspect->is_looked_for = is_first && suspect->phase == Phase::kLooking;
    suspect->had_ended = suspect->has_ended;
    if (!suspect->is_looked_for) continue;
    for (const TopicPartition& partition : suspect->transaction.partitions) {
      leaders[partition] = cluster_.LeaderOf(partition.topic, partition.partition);
    }
  }
  FindOpenTransactions(leaders, [this](std::map<TopicPartition, OpenTransactions> found) {
    looking_ = false;
    pausing_ = true;
    std::set<std::string> lost_sight_of;
    for (const auto& [partition, open] : found) {
      if (FindErrorCode(open.error_code).meaning != ErrorMeaning::kDone) lost_sight_of.insert(partition.topic);
    }
    if (!lost_sight_of.empty()) cluster_.Refresh({lost_sight_of.begin(), lost_sight_of.end()}, [] {});
    const auto checks = checks_;  // one may end, and another begin
    for (const SuspectPtr& suspect : checks) {
      if (suspect->is_looked_for) Judge(suspect, found);
    }
    cluster_.delayed_calls().After(pause_, [this] {
      pausing_ = false;
      Look();
    });
    pause_ = std::min(pause_ * 2, cluster_.options().last_backoff);
  });
}

void LostMarkers::Judge(const SuspectPtr& suspect, const std::map<TopicPartition, OpenTransactions>& found) {
  suspect->is_looked_for = false;
  EndedTransaction& transaction = suspect->transaction;
  std::erase_if(transaction.partitions,
                [&](const TopicPartition& partition) { return HasMarker(*suspect, partition, found.at(partition)); });
  if (transaction.partitions.empty())
    return End(suspect, suspect->was_written ? Markers::kWrittenAgain : Markers::kSeen);
  Open open;
  for (const TopicPartition& partition : transaction.partitions) {
    const auto* producer = Find(found.at(partition), transaction.producer_id);
    if (producer == nullptr) continue;
    if (producer->epoch != transaction.epoch) {
      return LeaveToOperator(
          suspect, absl::StrCat("another transaction of its id is open, at epoch ", producer->epoch, ", from offset ",
                                producer->open_from_offset, " on, in ", TextOf(Open{partition})));
    }
    open.push_back(partition);
  }
  if (open.empty() || cluster_.clock().Monotonic() < suspect->ask_after) return;
  if (suspect->had_ended && transaction.successor_may_run) return Postpone(suspect);
  if (suspect->had_ended && !suspect->does_not_fit.empty()) return LeaveToOperator(suspect, suspect->does_not_fit);
  if (suspect->had_ended) return WriteAgain(suspect, open);
  Ask(suspect);
}

// A topic may have been deleted, and made again with fewer partitions.
bool LostMarkers::IsUnknown(const TopicPartition& partition) const {
  const Topic* topic = cluster_.FindTopic(partition.topic);
  if (topic == nullptr) return false;
  if (topic->error_code == error::kUnknownTopicOrPartition) return true;
  return topic->error_code == error::kNone && partition.partition >= static_cast<std::int64_t>(topic->leaders.size());
}

// Whether nothing is to be done in a partition any more, or nothing can be.
bool LostMarkers::HasMarker(Suspect& suspect, const TopicPartition& partition, const OpenTransactions& found) {
  const ErrorCode& code = FindErrorCode(found.error_code);
  if (code.meaning == ErrorMeaning::kDone) {
    const auto* producer = Find(found, suspect.transaction.producer_id);
    // The next transaction begins only when every marker of the last is there.
    const bool is_next = suspect.transaction.has_successor && producer && producer->epoch > suspect.transaction.epoch;
    return producer == nullptr || is_next;
  }
  if (code.meaning == ErrorMeaning::kRetry || code.meaning == ErrorMeaning::kUnknown) {
    if (!IsUnknown(partition)) return suspect.unknown_since.erase(partition), false;
    // A broker that is starting may not know a topic yet; one that nobody knows for so long was deleted.
    const absl::Duration now = cluster_.clock().Monotonic();
    return now - suspect.unknown_since.try_emplace(partition, now).first->second > cluster_.options().finish_timeout;
  }
  if (!std::exchange(has_warned_, true)) {
    spdlog::warn(
        "participant \"{}\", topic \"{}\": DescribeProducers is refused with {} (Kafka error {}): markers of "
        "transactions that Kafka has lost in a crash are not found there, and their records stay invisible. Allow this "
        "client Read on the topics that it writes to",
        cluster_.options().name, partition.topic, std::string(code.name), code.code);
  }
  return true;
}

// ---- Asking its coordinator -----------------------------------------------------------------------------------------

void LostMarkers::Ask(const SuspectPtr& suspect) {
  suspect->phase = Phase::kAsking;
  CoordinatorCall<wire::DescribeTransactionsRequest>::Start(
      cluster_, {.transactional_id = suspect->transaction.transactional_id},
      {.patience = cluster_.options().finish_timeout},
      [this, suspect](const Answer<wire::DescribeTransactionsResponse>& answer) {
        suspect->phase = Phase::kLooking;
        const std::int16_t code = answer.response.error_code;
        if (answer.delivery != Delivery::kAnswered) return;  // and is asked again
        if (code == error::kTransactionalIdNotFound) return JudgeState(suspect, {.state = "unknown to Kafka"});
        if (code == error::kNone) JudgeState(suspect, answer.response);
      });
}

// Whatever it says, a look that begins now is the first that says what is left.
void LostMarkers::JudgeState(const SuspectPtr& suspect, const wire::DescribeTransactionsResponse& found) {
  if (found.state == "PrepareCommit" || found.state == "PrepareAbort") return;
  const bool is_ours = found.producer_id == suspect->ended.producer_id && found.epoch == suspect->ended.epoch;
  if (found.state == "Ongoing" && suspect->writes && is_ours) return EndAgain(suspect);
  suspect->has_ended = true;
  pause_ = cluster_.options().first_backoff;
  if (!Fits(suspect->transaction, found)) {
    suspect->does_not_fit = absl::StrCat("its id is in state ", found.state, " with producer id ", found.producer_id,
                                         ", epoch ", found.epoch);
  }
  suspect->ended = {.number = suspect->transaction.number, .producer_id = found.producer_id, .epoch = found.epoch};
}

// Whether the state is what the transaction has come to; if nobody here knows how it was decided, it says so.
bool LostMarkers::Fits(EndedTransaction& transaction, const wire::DescribeTransactionsResponse& found) const {
  if (found.producer_id != transaction.producer_id || found.epoch < transaction.epoch) return false;
  const bool is_committed = found.state == "CompleteCommit";
  const bool is_aborted = found.state == "CompleteAbort";
  if (!transaction.committed && (is_committed || is_aborted)) {
    // Transactions V2 begin a new epoch with the end of each.
    const int ended_at = found.epoch - (cluster_.transactions() == v1::KAFKA_TRANSACTION_V2 ? 1 : 0);
    if (transaction.epoch != ended_at) return false;
    transaction.committed = is_committed;
  }
  if (!transaction.committed) return false;
  // Fencing leaves an id empty, and only what has ended lets itself be fenced.
  const bool is_fenced = found.state == "Empty" && found.epoch > transaction.epoch;
  return is_fenced || (*transaction.committed ? is_committed : is_aborted);
}

// ---- Writing --------------------------------------------------------------------------------------------------------

void LostMarkers::WriteAgain(const SuspectPtr& suspect, const Open& open) {
  const EndedTransaction& transaction = suspect->transaction;
  spdlog::warn(
      "participant \"{}\": Kafka has lost the markers of a transaction that was {} ({}) in {}: they are written again",
      cluster_.options().name, *transaction.committed ? "committed" : "aborted", TextOf(transaction), TextOf(open));
  suspect->phase = Phase::kWriting;
  suspect->writes = true;
  suspect->has_ended = false;
  wire::AddPartitionsToTxnRequest request{.transactional_id = transaction.transactional_id,
                                          .producer_id = suspect->ended.producer_id,
                                          .epoch = suspect->ended.epoch};
  for (const auto& [topic, partition] : open) {
    if (request.topics.empty() || request.topics.back().name != topic) request.topics.push_back({.name = topic});
    request.topics.back().partitions.push_back(partition);
  }
  CoordinatorCall<wire::AddPartitionsToTxnRequest>::Start(
      cluster_, std::move(request), {.patience = cluster_.options().finish_timeout},
      [this, suspect](const Answer<wire::AddPartitionsToTxnResponse>& answer) {
        const std::int16_t code = answer.response.error_code;
        const bool answered = answer.delivery == Delivery::kAnswered;
        if (answered && code == error::kNone) return EndAgain(suspect);
        if (answered && FindErrorCode(code).meaning == ErrorMeaning::kNo) {
          return LeaveToOperator(suspect, ErrorOfCode(code, "AddPartitionsToTxn, which it is to be ended by").message);
        }
        // How far it came the state tells.
        Ask(suspect);
      });
}

void LostMarkers::EndAgain(const SuspectPtr& suspect) {
  suspect->phase = Phase::kWriting;
  CoordinatorCall<wire::EndTxnRequest>::Start(
      cluster_,
      {.version = wire::EndTxnRequest::kV1,
       .transactional_id = suspect->transaction.transactional_id,
       .producer_id = suspect->ended.producer_id,
       .epoch = suspect->ended.epoch,
       .commit = *suspect->transaction.committed},
      {.patience = cluster_.options().finish_timeout}, [this, suspect](const Answer<wire::EndTxnResponse>& answer) {
        suspect->phase = Phase::kLooking;
        pause_ = cluster_.options().first_backoff;
        suspect->ask_after = cluster_.clock().Monotonic() + kMarkersTake;
        const bool is_done = answer.delivery == Delivery::kAnswered && answer.response.error_code == error::kNone;
        if (is_done && !std::exchange(suspect->was_written, true)) ++written_again_;
      });
}

// ---- Ending ---------------------------------------------------------------------------------------------------------

void LostMarkers::Postpone(const SuspectPtr& suspect) {
  EndedTransaction transaction = suspect->transaction;
  transaction.successor_may_run = false;  // when it is looked at again
  auto& of_id = remembered_[transaction.number];
  of_id.insert(of_id.begin(), {.transaction = std::move(transaction), .is_doubtful = true});
  End(suspect, Markers::kLost);
}

void LostMarkers::LeaveToOperator(const SuspectPtr& suspect, const std::string& why) {
  Open open(suspect->transaction.partitions.begin(), suspect->transaction.partitions.end());
  const std::string decision = !suspect->transaction.committed   ? "how it was decided is not known here"
                               : *suspect->transaction.committed ? "it was decided to commit"
                                                                 : "it was decided to abort";
  spdlog::error(
      "participant \"{}\": a transaction has ended and is still open ({}) in {}, which hides its records and those "
      "behind them; {}, and {}. Nothing is done about it: look with kafka-transactions.sh describe-producers, and do "
      "not abort it there before it is clear how it was decided",
      cluster_.options().name, TextOf(suspect->transaction), TextOf(open), decision, why);
  End(suspect, Markers::kUnexplained);
}

void LostMarkers::End(const SuspectPtr& suspect, Markers markers) {
  checks_.remove(suspect);
  const auto waiting = std::exchange(suspect->waiting, {});
  suspect->done(markers);
  for (const auto& waits : waiting) {
    DelayedCalls::Cancel(waits->deadline);
    waits->done(markers);
  }
}

}  // namespace assent::kafka
