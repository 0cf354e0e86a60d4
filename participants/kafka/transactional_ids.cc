#include "participants/kafka/transactional_ids.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "participants/kafka/coordinator_call.h"
#include "participants/kafka/left_behind.h"
#include "participants/kafka/wire/transaction_messages.h"

namespace assent::kafka {
namespace {

// Requests of InitProducerId at once: more would only queue in the broker, before those of branches.
constexpr std::size_t kMostFencingAtOnce = 16;
// Ids that are made before anybody asks.
constexpr std::size_t kFirstIds = 8;
constexpr absl::Duration kPauseAfterFailure = absl::Milliseconds(500);
// Until ids are listed again whose transactions the broker was ending.
constexpr absl::Duration kEndingTakes = absl::Milliseconds(200);
// transaction.max.timeout.ms as brokers have it by default.
constexpr std::int64_t kDefaultMaxTimeoutMs = 900'000;

TransactionalIdPool::Options PoolOptions(const KafkaOptions& options, const ParticipantContext& context) {
  const std::uint32_t share =
      static_cast<std::uint32_t>(std::max(1, options.max_transactional_ids)) / context.shard_count;
  return {.shard = context.shard,
          .shard_count = context.shard_count,
          .most = std::max<std::uint32_t>(1, share),
          .rest = options.transactional_id_rest};
}

}  // namespace

TransactionalIds::TransactionalIds(const ParticipantContext& context, Cluster& cluster, LostMarkers& markers)
    : context_(context),
      cluster_(cluster),
      markers_(markers),
      pool_(PoolOptions(cluster.options(), context)),
      transaction_timeout_ms_(absl::ToInt64Milliseconds(cluster.options().transaction_timeout)) {}

void TransactionalIds::Start(const std::vector<std::uint32_t>& pinned) {
  for (const std::uint32_t number : pinned) pool_.Pin(number);
}

void TransactionalIds::TakeOver() {
  has_taken_over_ = true;
  if (cluster_.is_up()) ClusterReturned();
  // A broker that keeps ids and stays away must not hold up all others.
  cluster_.delayed_calls().After(cluster_.options().finish_timeout, [this] {
    if (std::exchange(may_fence_, true)) return;
    if (cluster_.is_up()) {
      spdlog::warn(
          "participant \"{}\": not every broker has said which transactional ids it keeps; they are used from now on, "
          "and where Kafka has lost markers of an earlier process' transactions, that may not be found",
          cluster_.options().name);
    }
    FenceNext();
    Serve(/*hurry=*/false);
  });
}

void TransactionalIds::ClusterReturned() {
  if (!has_taken_over_) return;
  FenceNext();
  // Also when the cluster returns: a broker that was away may have kept ids that nobody else could tell.
  FenceLeftBehind();
}

void TransactionalIds::BrokerLost() {
  for (const std::uint32_t number : markers_.DoubtAll()) {
    if (pool_.TakeIdle(number)) LookAndFence(number);
  }
  Serve(/*hurry=*/false);
}

std::string TransactionalIds::IdOf(std::uint32_t number) const {
  return TransactionalId{.coordinator = context_.coordinator, .number = number}.ToString();
}

std::string TransactionalIds::Describe() const {
  std::string text =
      absl::StrCat(pool_.size(), " of ", pool_.most(), " transactional ids, ", pool_.in_use(), " in use");
  if (pool_.pinned() > 0) absl::StrAppend(&text, ", ", pool_.pinned(), " pinned by unfinished transactions");
  return text;
}

// ---- Giving out -----------------------------------------------------------------------------------------------------

void TransactionalIds::Acquire(absl::Duration patience, Acquired acquired) {
  for (const std::uint32_t number : pool_.TakeStale(context_.clock.Monotonic())) Fence(number);
  if (waiters_.empty()) {
    if (const auto session = pool_.Take(context_.clock.Monotonic())) return acquired(*session);
  }
  auto waiter = std::make_shared<Waiter>();
  waiter->acquired = std::move(acquired);
  waiters_.push_back(waiter);
  waiter->deadline = cluster_.delayed_calls().After(patience, [this, weak = std::weak_ptr<Waiter>(waiter)] {
    const auto late = weak.lock();
    if (!late || waiters_.remove(late) == 0) return;
    late->acquired(WhyNone());
  });
  Serve(/*hurry=*/false);
}

absl::Status TransactionalIds::WhyNone() const {
  if (!cluster_.is_up()) return cluster_.Check();
  if (!last_failure_.empty()) return absl::UnavailableError(last_failure_);
  return absl::ResourceExhaustedError(absl::StrCat(
      "participant \"", cluster_.options().name, "\": no transactional id became free before the deadline (",
      Describe(), "; max_transactional_ids = ", cluster_.options().max_transactional_ids,
      " in the process): raise it"));
}

void TransactionalIds::Serve(bool hurry) {
  while (!waiters_.empty()) {
    const auto session = pool_.Take(context_.clock.Monotonic(), hurry);
    if (!session) break;
    const auto waiter = waiters_.front();
    waiters_.pop_front();
    DelayedCalls::Cancel(waiter->deadline);
    waiter->acquired(*session);
  }
  if (waiters_.size() > pool_fencing_) GrowFor(waiters_.size() - pool_fencing_);
}

// Not before it is known which numbers an earlier process has left.
void TransactionalIds::GrowFor(std::size_t ids) {
  if (!may_fence_) return;
  for (; ids > 0; --ids) {
    const auto number = pool_.Grow();
    if (!number) return;
    Fence(*number, /*somebody_waits=*/true);
  }
}

void TransactionalIds::Return(const ProducerSession& next) {
  if (markers_.IsDoubtful(next.number)) {
    pool_.MustFence(next.number);
    return LookAndFence(next.number);
  }
  pool_.Return(next, context_.clock.Monotonic());
  Serve(/*hurry=*/false);
}

void TransactionalIds::ReturnUnclean(std::uint32_t number) {
  pool_.MustFence(number);
  Fence(number);
}

void TransactionalIds::Unpin(std::uint32_t number) {
  if (!pool_.Unpin(number)) return;
  if (pool_.Adopt(number, /*of_any_shard=*/true)) Fence(number);
}

// ---- Fencing --------------------------------------------------------------------------------------------------------

void TransactionalIds::Fence(std::uint32_t number, bool somebody_waits) {
  ++pool_fencing_;
  to_fence_.insert(somebody_waits ? to_fence_.begin() : to_fence_.end(), number);
  FenceNext();
}

// In this order: fencing erases how the last transaction was decided, and this process may die between the two.
void TransactionalIds::LookAndFence(std::uint32_t number) {
  markers_.Check(*markers_.TakeDoubtful(number), [this, number](Markers markers) {
    if (markers == Markers::kUnexplained) LetGo(number);
  });
  Fence(number);
}

void TransactionalIds::FenceNext() {
  while (!to_fence_.empty() && fencing_ < kMostFencingAtOnce && cluster_.is_up() && may_fence_) {
    const std::uint32_t number = to_fence_.front();
    to_fence_.pop_front();
    if (markers_.IsChecking(number)) {
      --pool_fencing_;
      markers_.Await(number, absl::InfiniteDuration(), [this, number](std::optional<Markers>) { Fence(number); });
      continue;
    }
    ++fencing_;
    InitProducerId(
        number, cluster_.options().request_timeout, [this, number](Answer<wire::InitProducerIdResponse> answer) {
          --fencing_;
          if (answer.delivery != Delivery::kAnswered || answer.response.error_code != error::kNone) {
            FenceAgain(number, answer);
          } else {
            last_failure_.clear();
            Fenced({.number = number, .producer_id = answer.response.producer_id, .epoch = answer.response.epoch});
          }
          FenceNext();
        });
  }
}

// Fencing waits for the markers of what was open or ended under the id, which may have got lost all the same.
void TransactionalIds::Fenced(const ProducerSession& session) {
  auto last = markers_.TakeDoubtful(session.number);
  if (!last) return GiveToPool(session);
  --pool_fencing_;
  markers_.Check(*std::move(last), [this, session](Markers markers) {
    ++pool_fencing_;
    if (markers == Markers::kUnexplained) LetGo(session.number);
    if (markers != Markers::kWrittenAgain) return Fenced(session);  // another may be doubtful
    to_fence_.push_back(session.number);
    FenceNext();
  });
  Serve(/*hurry=*/false);
}

void TransactionalIds::GiveToPool(const ProducerSession& session) {
  --pool_fencing_;
  pool_.Fenced(session, context_.clock.Monotonic());
  Serve(/*hurry=*/false);
}

void TransactionalIds::FenceAgain(std::uint32_t number, const Answer<wire::InitProducerIdResponse>& answer) {
  const std::string what = absl::StrCat("participant \"", cluster_.options().name,
                                        "\": InitProducerId of transactional id \"", IdOf(number), "\"");
  const bool answered = answer.delivery == Delivery::kAnswered;
  const std::string before =
      std::exchange(last_failure_, answered ? ErrorOfCode(answer.response.error_code, what).message
                                            : absl::StrCat(what, ": ", answer.message));
  if (before.empty()) spdlog::warn("{}; it is tried again until it succeeds", last_failure_);
  // Who waits for a larger pool takes what there is.
  Serve(/*hurry=*/true);
  cluster_.delayed_calls().After(kPauseAfterFailure, [this, number] {
    to_fence_.push_back(number);
    FenceNext();
  });
}

void TransactionalIds::FenceInUse(std::uint32_t number,
                                  absl::AnyInvocable<void(absl::StatusOr<ProducerSession>)> done) {
  InitProducerId(number, cluster_.options().finish_timeout,
                 [this, number, done = std::move(done)](Answer<wire::InitProducerIdResponse> answer) mutable {
                   if (answer.delivery != Delivery::kAnswered) return done(absl::UnavailableError(answer.message));
                   if (answer.response.error_code != error::kNone) {
                     const BranchError error =
                         ErrorOfCode(answer.response.error_code,
                                     absl::StrCat("InitProducerId of transactional id \"", IdOf(number), "\""));
                     return done(absl::Status(error.code, error.message));
                   }
                   done(ProducerSession{
                       .number = number, .producer_id = answer.response.producer_id, .epoch = answer.response.epoch});
                 });
}

void TransactionalIds::InitProducerId(std::uint32_t number, absl::Duration patience,
                                      absl::AnyInvocable<void(Answer<wire::InitProducerIdResponse>)> done) {
  const std::int64_t asked = transaction_timeout_ms_;
  wire::InitProducerIdRequest request{.transactional_id = IdOf(number),
                                      .transaction_timeout_ms = static_cast<std::int32_t>(asked)};
  CoordinatorCall<wire::InitProducerIdRequest>::Start(
      cluster_, std::move(request), {.patience = patience, .loss_is_an_answer = true},
      [this, number, patience, asked, done = std::move(done)](Answer<wire::InitProducerIdResponse> answer) mutable {
        if (answer.delivery == Delivery::kLost) pool_.Burn(number);
        const bool answered = answer.delivery == Delivery::kAnswered;
        if (answered && answer.response.error_code == error::kInvalidTransactionTimeout &&
            (asked != transaction_timeout_ms_ || asked > 1)) {
          auto again = [this, number, patience, done = std::move(done)]() mutable {
            InitProducerId(number, patience, std::move(done));
          };
          if (asked != transaction_timeout_ms_) return again();  // another answer has lowered it meanwhile
          return LowerTimeout(asked, std::move(again));
        }
        if (answered && answer.response.error_code == error::kNone && !std::exchange(timeout_is_known_, true)) {
          spdlog::info("participant \"{}\": Kafka aborts transactions left open for {}", cluster_.options().name,
                       absl::FormatDuration(absl::Milliseconds(transaction_timeout_ms_)));
        }
        done(std::move(answer));
      });
}

// The broker refuses the timeout that was asked for: takes the longest that it allows.
void TransactionalIds::LowerTimeout(std::int64_t refused_ms, absl::AnyInvocable<void()> done) {
  auto lower = [this, refused_ms, done = std::move(done)](std::int64_t allowed) mutable {
    // Several ids may have been refused at once: one of them lowers it.
    if (transaction_timeout_ms_ != refused_ms) return done();
    // Where even that is refused, halving ends at something that is not.
    transaction_timeout_ms_ =
        allowed < transaction_timeout_ms_ ? allowed : std::max<std::int64_t>(1, transaction_timeout_ms_ / 2);
    done();
  };
  for (const auto& [node, broker] : cluster_.Brokers()) {
    if (!broker->is_up()) continue;
    return broker->Call(wire::DescribeConfigsRequest{.broker = node, .setting = "transaction.max.timeout.ms"},
                        [lower = std::move(lower)](Answer<wire::DescribeConfigsResponse> answer) mutable {
                          std::int64_t allowed = kDefaultMaxTimeoutMs;
                          const bool told = answer.delivery == Delivery::kAnswered && answer.response.value &&
                                            absl::SimpleAtoi(*answer.response.value, &allowed) && allowed > 0;
                          lower(told ? allowed : kDefaultMaxTimeoutMs);
                        });
  }
  lower(kDefaultMaxTimeoutMs);
}

// ---- What earlier processes left ------------------------------------------------------------------------------------

void TransactionalIds::ListAll(Listed done) {
  struct Listing {
    Transactions found;
    std::size_t outstanding = 0;
    absl::Status status;
    Listed done;
  };
  const auto brokers = cluster_.Brokers();
  if (!cluster_.is_up() || brokers.empty()) return done(cluster_.Check());
  auto listing = std::make_shared<Listing>();
  listing->outstanding = brokers.size();
  listing->done = std::move(done);
  for (const auto& [node, broker] : brokers) {
    broker->Call(wire::ListTransactionsRequest{}, [listing,
                                                   cluster = &cluster_](Answer<wire::ListTransactionsResponse> answer) {
      if (answer.delivery != Delivery::kAnswered) {
        listing->status = absl::UnavailableError(answer.message);
      } else if (answer.response.error_code != error::kNone) {
        listing->status = absl::UnavailableError(ErrorOfCode(answer.response.error_code, "ListTransactions").message);
      }
      for (auto& found : answer.response.transactions) {
        if (found.state != "Dead") listing->found.push_back(std::move(found));
      }
      if (--listing->outstanding > 0) return;
      // A broker that is away may have left the cluster: who asks again asks those that are in it then.
      if (!listing->status.ok()) return cluster->Refresh({}, [listing] { listing->done(listing->status); });
      listing->done(std::move(listing->found));
    });
  }
}

void TransactionalIds::FenceLeftBehind() {
  if (std::exchange(listing_left_behind_, true)) return;
  ListAll([this](absl::StatusOr<Transactions> listed) {
    listing_left_behind_ = false;
    if (listed.ok()) return FenceListed(*listed);
    cluster_.delayed_calls().After(kPauseAfterFailure, [this] {
      if (cluster_.is_up()) FenceLeftBehind();
    });
  });
}

void TransactionalIds::FenceListed(const Transactions& listed) {
  std::vector<LeftBehindId> left_behind;
  for (const auto& transaction : listed) {
    const auto id = ParseTransactionalId(transaction.transactional_id);
    if (!id || id->coordinator != context_.coordinator) continue;
    if (being_ended_.erase(id->number) == 0 && !pool_.Adopt(id->number)) continue;
    if (transaction.state.starts_with("Prepare")) {
      being_ended_.insert(id->number);
      continue;
    }
    left_behind.push_back({.number = id->number,
                           .transactional_id = transaction.transactional_id,
                           .producer_id = transaction.producer_id,
                           .state = transaction.state});
  }
  if (!left_behind.empty()) {
    spdlog::info("participant \"{}\": fencing {} transactional ids that no transaction needs", cluster_.options().name,
                 left_behind.size());
    LeftBehind::Start(cluster_, markers_, std::move(left_behind), [this](std::uint32_t number, Markers markers) {
      if (markers == Markers::kUnexplained) LetGo(number);
      Fence(number);
    });
  }
  if (!being_ended_.empty()) {
    cluster_.delayed_calls().After(kEndingTakes, [this] {
      if (cluster_.is_up()) FenceLeftBehind();
    });
  }
  may_fence_ = true;
  FenceNext();
  const std::size_t wanted = std::min(kFirstIds, pool_.most());
  if (pool_.size() < wanted) GrowFor(wanted - pool_.size());
  Serve(/*hurry=*/false);
}

void TransactionalIds::ListOwn(absl::AnyInvocable<void(absl::StatusOr<OwnWork>)> done) {
  ListAll([this, done = std::move(done)](absl::StatusOr<Transactions> listed) mutable {
    if (!listed.ok()) return done(listed.status());
    OwnWork work;
    if (!cluster_.id().empty()) work.identity = absl::StrCat("Kafka cluster ", cluster_.id());
    for (auto& transaction : *listed) {
      const auto id = ParseTransactionalId(transaction.transactional_id);
      if (!id || id->coordinator.name != context_.coordinator.name) continue;
      if (id->coordinator != context_.coordinator) {
        const bool is_open = transaction.state == "Ongoing" || transaction.state.starts_with("Prepare");
        if (is_open) work.foreign_open.push_back(transaction.transactional_id);
        work.foreign.push_back(std::move(transaction.transactional_id));
      } else if (transaction.state == "Ongoing" && !pool_.IsKnown(id->number)) {
        work.left_open.push_back(std::move(transaction.transactional_id));
      }
    }
    done(std::move(work));
  });
}

}  // namespace assent::kafka
