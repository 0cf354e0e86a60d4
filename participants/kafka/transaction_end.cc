#include "participants/kafka/transaction_end.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "participants/kafka/coordinator_call.h"
#include "participants/kafka/error_codes.h"

namespace assent::kafka {
namespace {

wire::EndTxnRequest EndTxnOf(const v1::KafkaToken& transaction, bool commit) {
  const bool is_v1 = transaction.version() == v1::KAFKA_TRANSACTION_V1;
  return {.version = is_v1 ? wire::EndTxnRequest::kV1 : wire::EndTxnRequest::kV2,
          .transactional_id = transaction.transactional_id(),
          .producer_id = transaction.producer_id(),
          .epoch = static_cast<std::int16_t>(transaction.epoch()),
          .commit = commit};
}

}  // namespace

void TransactionEnd::Start(Cluster& cluster, LostMarkers& markers, Repairs& repairs, v1::KafkaToken token,
                           std::uint32_t number, bool commit, Done done) {
  std::make_shared<TransactionEnd>(cluster, markers, repairs, std::move(token), number, commit, std::move(done))
      ->EndTxn();
}

TransactionEnd::TransactionEnd(Cluster& cluster, LostMarkers& markers, Repairs& repairs, v1::KafkaToken token,
                               std::uint32_t number, bool commit, Done done)
    : cluster_(cluster),
      markers_(markers),
      repairs_(repairs),
      token_(std::move(token)),
      number_(number),
      commit_(commit),
      until_(cluster.clock().Monotonic() + cluster.options().finish_timeout),
      backoff_(cluster.options().first_backoff),
      ended_{.number = number, .producer_id = token_.producer_id(), .epoch = static_cast<std::int16_t>(token_.epoch())},
      done_(std::move(done)) {}

void TransactionEnd::EndTxn() {
  CoordinatorCall<wire::EndTxnRequest>::Start(
      cluster_, EndTxnOf(token_, commit_), {.patience = Left(), .concurrent_is_an_answer = true},
      [self = shared_from_this()](Answer<wire::EndTxnResponse> answer) { self->JudgeEndTxn(answer); });
}

void TransactionEnd::JudgeEndTxn(const Answer<wire::EndTxnResponse>& answer) {
  if (answer.delivery != Delivery::kAnswered) return Finished(Finish::Kind::kRetry, answer.message);
  if (answer.response.error_code == error::kNone) {
    // V1 begins no new epoch, and a copy of this EndTxn that is still on its way would end the id's next transaction:
    // without a next session the id is fenced first.
    if (token_.version() != v1::KAFKA_TRANSACTION_V1) {
      next_ = ProducerSession{
          .number = number_, .producer_id = answer.response.producer_id, .epoch = answer.response.epoch};
    }
    return Finished(Finish::Kind::kDone);
  }
  const ErrorCode& code = FindErrorCode(answer.response.error_code);
  std::string why = ErrorOfCode(code.code, absl::StrCat("EndTxn of transactional id \"", token_.transactional_id(),
                                                        "\", epoch ", token_.epoch()))
                        .message;
  // CONCURRENT_TRANSACTIONS says that something is being finished, and not what.
  const bool may_be_finished = code.meaning == ErrorMeaning::kFatal || code.code == error::kConcurrentTransactions;
  if (may_be_finished) return Describe(std::move(why));
  Finished(Finish::Kind::kRetry, std::move(why));
}

void TransactionEnd::Describe(std::string why) {
  wire::DescribeTransactionsRequest request{.transactional_id = token_.transactional_id()};
  CoordinatorCall<wire::DescribeTransactionsRequest>::Start(
      cluster_, std::move(request), {.patience = Left()},
      [self = shared_from_this(), why = std::move(why)](Answer<wire::DescribeTransactionsResponse> answer) {
        if (answer.delivery != Delivery::kAnswered) return self->Finished(Finish::Kind::kRetry, answer.message);
        const std::int16_t code = answer.response.error_code;
        if (code != error::kNone && code != error::kTransactionalIdNotFound) {
          const BranchError error = ErrorOfCode(
              code, absl::StrCat("DescribeTransactions of \"", self->token_.transactional_id(), "\" after ", why));
          return self->Finished(Finish::Kind::kRetry, error.message);
        }
        if (code == error::kTransactionalIdNotFound) answer.response.state.clear();
        self->JudgeState(why, answer.response);
      });
}

void TransactionEnd::JudgeState(const std::string& why, const wire::DescribeTransactionsResponse& found) {
  const std::string& state = found.state;
  const bool is_committed = state == "PrepareCommit" || state == "CompleteCommit";
  const bool is_aborted = state == "PrepareAbort" || state == "CompleteAbort";
  const bool is_nothing = state.empty() || state == "Empty" || state == "Dead";
  const std::string told = absl::StrCat("transactional id \"", token_.transactional_id(), "\" (epoch ", token_.epoch(),
                                        " in the token) is in state ", state.empty() ? "unknown to Kafka" : state,
                                        " at epoch ", found.epoch, "; ", why);
  if (state == "Ongoing" && !IsAboveToken(found)) return EndTxnAgain(told);
  if (commit_) {
    if (is_committed) {
      // An earlier process may have repaired it, under an epoch and perhaps a producer id of its own. Transactions V2
      // begin a new epoch with each end, and behind the last one a new producer id, which nothing has ended under then.
      const bool is_v2 = cluster_.transactions() == v1::KAFKA_TRANSACTION_V2;
      const auto epoch = static_cast<std::int16_t>(found.epoch - (is_v2 ? 1 : 0));
      if (IsAboveToken(found) && epoch >= 0) ended_ = {number_, found.producer_id, epoch};
      return Finished(Finish::Kind::kDone);
    }
    if (state == "CompleteAbort" || (state == "Ongoing" && IsOwnRepair(found))) return Repair(told, found);
    if (is_nothing) {
      return Finished(Finish::Kind::kHeuristic,
                      absl::StrCat("the transaction is to be committed, but Kafka no longer knows what became of it: "
                                   "whether its records are visible has to be looked up in the topics; ",
                                   told));
    }
  } else {
    if (is_aborted || is_nothing) return Finished(Finish::Kind::kDone);
    if (is_committed) {
      return Finished(Finish::Kind::kHeuristic,
                      absl::StrCat("the transaction is to be aborted, but Kafka has committed it: its records are "
                                   "visible; ",
                                   told));
    }
  }
  Finished(Finish::Kind::kRetry, told);
}

void TransactionEnd::EndTxnAgain(std::string why) {
  if (backoff_ > Left()) return Finished(Finish::Kind::kRetry, std::move(why));
  cluster_.delayed_calls().After(backoff_, [self = shared_from_this()] { self->EndTxn(); });
  backoff_ = std::min(backoff_ * 2, cluster_.options().last_backoff);
}

// ---- Repair ---------------------------------------------------------------------------------------------------------

bool TransactionEnd::IsOwnRepair(const wire::DescribeTransactionsResponse& found) const {
  const auto begun = repairs_.find(number_);
  return begun != repairs_.end() && begun->second.producer_id == found.producer_id &&
         begun->second.epoch == found.epoch;
}

bool TransactionEnd::IsAboveToken(const wire::DescribeTransactionsResponse& found) const {
  return found.producer_id != token_.producer_id() || found.epoch > token_.epoch();
}

void TransactionEnd::Repair(const std::string& why, const wire::DescribeTransactionsResponse& found) {
  // Under the token's own epoch the leaders would take the records for those that were aborted.
  if (token_.records().empty() || !IsAboveToken(found)) {
    return Finished(
        Finish::Kind::kHeuristic,
        absl::StrCat("the transaction is to be committed, but Kafka has aborted it: its records are not visible and "
                     "have to be produced again, by hand, because ",
                     token_.records().empty()
                         ? "they do not stand in the log: they were more than max_logged_bytes, or than the "
                           "batches for a partition that leaders remember"
                         : "its epoch has not changed since",
                     "; ", why));
  }
  if (IsOwnRepair(found)) return ProduceAgain(why, found);
  AwaitAbort(why, found);
}

// Writes what is missing again, without an end; the attempt that finds nothing missing goes on.
void TransactionEnd::AwaitAbort(const std::string& why, const wire::DescribeTransactionsResponse& found) {
  if (!markers_.IsChecking(number_)) {  // for an earlier attempt
    markers_.Check(EndedAs(token_, number_, token_.epoch(), /*committed=*/false), [](Markers) {});
  }
  if (!markers_.IsChecking(number_)) return ProduceAgain(why, found);
  markers_.Await(number_, Left(), [self = shared_from_this(), why, found](std::optional<Markers> markers) {
    if (markers == Markers::kSeen) return self->ProduceAgain(why, found);
    self->Finished(Finish::Kind::kRetry,
                   absl::StrCat("its records cannot be produced again before every partition has the marker of the "
                                "transaction that Kafka has aborted; ",
                                why));
  });
}

void TransactionEnd::ProduceAgain(const std::string& why, const wire::DescribeTransactionsResponse& found) {
  repairs_[number_] = {.number = number_, .producer_id = found.producer_id, .epoch = found.epoch};
  v1::KafkaToken again;
  again.set_transactional_id(token_.transactional_id());
  again.set_producer_id(found.producer_id);
  again.set_epoch(found.epoch);
  again.set_version(cluster_.transactions());
  *again.mutable_topics() = token_.topics();
  std::vector<PartitionBatches> records;
  for (const auto& from : token_.records()) {
    PartitionBatches& to = records.emplace_back();
    to.topic = from.topic();
    to.partition = from.partition();
    for (const std::string& batch : from.batches()) {
      to.batches.push_back(wire::Reissue(batch, found.producer_id, found.epoch));
    }
  }
  Production::Start(
      cluster_, again, std::move(records), Left(), [self = shared_from_this(), again, why](const Produced& produced) {
        if (produced.kind == Produced::Kind::kAcknowledged) return self->CommitRepaired(again);
        self->Finished(Finish::Kind::kRetry,
                       absl::StrCat("its records cannot be produced again yet: ", produced.error.message, "; ", why));
      });
}

void TransactionEnd::CommitRepaired(const v1::KafkaToken& again) {
  CoordinatorCall<wire::EndTxnRequest>::Start(
      cluster_, EndTxnOf(again, /*commit=*/true), {.patience = Left(), .concurrent_is_an_answer = true},
      [self = shared_from_this(), again](Answer<wire::EndTxnResponse> answer) {
        // Whatever else it says: the next attempt finds the state, and in it how far this one came.
        if (answer.delivery != Delivery::kAnswered) return self->Finished(Finish::Kind::kRetry, answer.message);
        if (answer.response.error_code != error::kNone) {
          return self->Finished(
              Finish::Kind::kRetry,
              ErrorOfCode(answer.response.error_code,
                          absl::StrCat("EndTxn of transactional id \"", self->token_.transactional_id(),
                                       "\", which repeats a transaction that Kafka had aborted"))
                  .message);
        }
        self->ended_ = {self->number_, again.producer_id(), static_cast<std::int16_t>(again.epoch())};
        self->Finished(Finish::Kind::kDone, "", /*repaired=*/true);
      });
}

void TransactionEnd::Finished(Finish::Kind kind, std::string message, bool repaired) {
  done_({.finish = {.kind = kind, .message = std::move(message), .repaired = repaired},
         .session = ended_,
         .next = next_});
}

}  // namespace assent::kafka
