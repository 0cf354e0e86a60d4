#include "participants/kafka/phase_two.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "participants/kafka/token.h"

namespace assent::kafka {

PhaseTwo::PhaseTwo(const CoordinatorId& coordinator, Cluster& cluster, LostMarkers& markers, TransactionalIds& ids,
                   std::function<void(Branch&)> ended)
    : coordinator_(coordinator), cluster_(cluster), markers_(markers), ids_(ids), ended_(std::move(ended)) {}

void PhaseTwo::EndByToken(const BranchPtr& branch, const std::string& token, bool commit, FinishDone done) {
  auto parsed = ParseToken(token, coordinator_);
  if (!parsed.ok()) {
    return done({.kind = Finish::Kind::kHeuristic,
                 .message = absl::StrCat("the branch cannot be finished: ", std::string(parsed.status().message()))});
  }
  const std::uint32_t number = parsed->number;
  if (awaiting_markers_.contains(number)) return AwaitMarkers(number, std::move(done));
  EndedTransaction transaction = EndedAs(parsed->token, number, parsed->token.epoch(), commit);
  if (!branch) of_earlier_processes_[number] = transaction.partitions;
  TransactionEnd::Start(
      cluster_, markers_, repairs_, std::move(parsed->token), number, commit,
      [this, branch, number, transaction = std::move(transaction), done = std::move(done)](Ended ended) mutable {
        if (ended.finish.repaired) ++repaired_branches_;
        if (ended.finish.kind == Finish::Kind::kRetry) return done(std::move(ended.finish));
        if (branch && ended.next) branch->next = ended.next;
        if (ended.finish.kind == Finish::Kind::kHeuristic) {
          of_earlier_processes_.erase(number);
          if (branch) ended_(*branch);
          return done(std::move(ended.finish));
        }
        transaction.producer_id = ended.session.producer_id;
        transaction.epoch = ended.session.epoch;
        CheckMarkers(branch, std::move(transaction), std::move(ended.finish), std::move(done));
      });
}

// Ends a branch whose transaction has ended: at once in quiet times, else when its markers have been seen. Where those
// of the transaction before are doubtful, all are looked at once the id is fenced, in order.
void PhaseTwo::CheckMarkers(const BranchPtr& branch, EndedTransaction transaction, Finish finish, FinishDone done) {
  const std::uint32_t number = transaction.number;
  auto settle = [this, branch, number, committed = *transaction.committed](Markers markers) {
    awaiting_markers_.erase(number);
    of_earlier_processes_.erase(number);
    if (markers == Markers::kUnexplained) ids_.LetGo(number);
    if (!branch) return;
    ended_(*branch);
    branch->committed = committed;
    if (markers == Markers::kWrittenAgain) branch->next.reset();
  };
  if (!cluster_.IsTroubled() || markers_.IsDoubtful(number)) {
    settle(Markers::kSeen);
    markers_.Remember(std::move(transaction));
    return done(std::move(finish));
  }
  awaiting_markers_[number] = finish;
  markers_.Check(transaction, [this, transaction, settle](Markers markers) {
    if (markers == Markers::kSeen) markers_.Remember(transaction, /*leaders_have_markers=*/true);
    settle(markers);
  });
  if (!awaiting_markers_.contains(number)) return done(std::move(finish));
  AwaitMarkers(number, std::move(done));
}

void PhaseTwo::AwaitMarkers(std::uint32_t number, FinishDone done) {
  Finish finish = awaiting_markers_.at(number);
  markers_.Await(
      number, cluster_.options().finish_timeout,
      [this, number, finish = std::move(finish), done = std::move(done)](std::optional<Markers> markers) mutable {
        if (markers) return done(std::move(finish));
        done({.kind = Finish::Kind::kRetry,
              .message = absl::StrCat("the transaction of transactional id \"", ids_.IdOf(number),
                                      "\" has ended, but not every partition has its marker yet")});
      });
}

void PhaseTwo::AbortByFencing(const BranchPtr& branch, FinishDone done) {
  const std::uint32_t number = branch->session->number;
  if (awaiting_markers_.contains(number)) return AwaitMarkers(number, std::move(done));
  if (markers_.IsChecking(number)) {
    return done({.kind = Finish::Kind::kRetry,
                 .message = absl::StrCat("the last transaction of transactional id \"", ids_.IdOf(number),
                                         "\" does not have all its markers yet")});
  }
  ids_.FenceInUse(number, [this, branch, number, done = std::move(done)](absl::StatusOr<ProducerSession> next) mutable {
    if (!next.ok()) return done({.kind = Finish::Kind::kRetry, .message = std::string(next.status().message())});
    branch->next = *next;
    CheckMarkers(branch, EndedAs(branch->token, number, branch->token.epoch(), /*committed=*/false),
                 {.kind = Finish::Kind::kDone}, std::move(done));
  });
}

std::set<TopicPartition> PhaseTwo::PartitionsInDoubt(const absl::flat_hash_map<BranchId, BranchPtr>& branches) const {
  std::set<TopicPartition> partitions;
  for (const auto& [id, branch] : branches) {
    const bool is_in_doubt = branch->phase == BranchPhase::kPrepared || branch->phase == BranchPhase::kInDoubt;
    if (is_in_doubt) partitions.merge(PartitionsOf(branch->token));
  }
  for (const auto& [number, of_it] : of_earlier_processes_) partitions.insert(of_it.begin(), of_it.end());
  return partitions;
}

void PhaseTwo::HoldBack(const BranchPtr& branch) {
  const auto production = branch->production.lock();
  if (!production || !branch->session) return;
  const std::uint32_t number = branch->session->number;
  auto last = markers_.TakeDoubtful(number);
  if (!last) return;
  last->has_successor = true;
  last->successor_may_run = true;  // what was sent may still arrive
  production->Hold();
  markers_.Check(*std::move(last), [this, production, number](Markers markers) {
    if (markers == Markers::kSeen) return production->Resume();
    if (markers == Markers::kUnexplained) ids_.LetGo(number);
    production->Cancel({.code = absl::StatusCode::kUnavailable,
                        .message = absl::StrCat("Kafka has lost markers of the last transaction of transactional id \"",
                                                ids_.IdOf(number), "\", which is to be fenced before its next one"),
                        .retryable = true});
  });
}

}  // namespace assent::kafka
