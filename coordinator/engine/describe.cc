#include "absl/strings/str_cat.h"
#include "coordinator/engine/shard.h"

namespace assent {

void SetTime(absl::Time time, google::protobuf::Timestamp& proto) {
  const std::int64_t micros = absl::ToUnixMicros(time);
  proto.set_seconds(micros / 1'000'000);
  proto.set_nanos(static_cast<std::int32_t>(micros % 1'000'000) * 1'000);
}

namespace {

v1::TransactionState StateOf(const Transaction& transaction) {
  switch (transaction.state.phase) {
    case protocol::Phase::kActive:
      return v1::STATE_ACTIVE;
    case protocol::Phase::kPreparing:
      return v1::STATE_PREPARING;
    case protocol::Phase::kDeciding:
      return v1::STATE_DECIDING;
    case protocol::Phase::kCommitting:
      return v1::STATE_COMMITTING;
    case protocol::Phase::kAborting:
      return v1::STATE_ABORTING;
    case protocol::Phase::kCommitted:
      return v1::STATE_COMMITTED;
    case protocol::Phase::kEnded:
      return transaction.aborted ? v1::STATE_ABORTED : v1::STATE_COMMITTED;
  }
  return v1::TRANSACTION_STATE_UNSPECIFIED;
}

v1::Outcome OutcomeOf(const Transaction& transaction) {
  if (transaction.aborted) return v1::ABORTED;
  return transaction.reached >= Milestone::kDecided ? v1::COMMITTED : v1::UNDECIDED;
}

}  // namespace

v1::TransactionDescription Describe(const Transaction& transaction) {
  v1::TransactionDescription description;
  description.set_txn_id(transaction.id.ToString());
  description.set_request_id(transaction.request_id);
  description.set_state(StateOf(transaction));
  description.set_outcome(OutcomeOf(transaction));
  if (transaction.began != absl::InfinitePast()) SetTime(transaction.began, *description.mutable_began());
  if (transaction.deadline != absl::InfiniteFuture()) SetTime(transaction.deadline, *description.mutable_deadline());
  for (const auto& [key, value] : transaction.labels) (*description.mutable_labels())[key] = value;
  for (std::size_t i = 0; i < transaction.branches.size(); ++i) {
    const BranchRun& run = transaction.branches[i];
    v1::BranchDescription& branch = *description.add_branches();
    branch.set_branch(run.name);
    branch.set_participant(run.participant_name);
    branch.set_state(std::string(protocol::Name(transaction.state.branches[i].phase)));
    branch.set_operations(static_cast<std::int64_t>(run.operations.size()));
    branch.set_waits_for(run.waits_for);
    branch.set_attempts(run.attempts);
    branch.set_heuristic(transaction.state.branches[i].phase == protocol::BranchPhase::kHeuristic);
    branch.set_repaired(run.is_repaired);
  }
  if (!transaction.failure.reason().empty()) *description.mutable_failure() = transaction.failure;
  if (transaction.decided_at != absl::InfinitePast())
    SetTime(transaction.decided_at, *description.mutable_decided_at());
  return description;
}

v1::TransactionDescription Describe(const EndedTransaction& ended) {
  v1::TransactionDescription description;
  description.set_txn_id(ended.id.ToString());
  description.set_request_id(ended.request_id);
  description.set_outcome(ended.outcome);
  description.set_state(ended.outcome == v1::COMMITTED ? v1::STATE_COMMITTED
                        : ended.outcome == v1::ABORTED ? v1::STATE_ABORTED
                                                       : v1::STATE_FORGOTTEN);
  if (!ended.failure.reason().empty()) *description.mutable_failure() = ended.failure;
  if (ended.decided_at != absl::InfinitePast()) SetTime(ended.decided_at, *description.mutable_decided_at());
  const protocol::BranchPhase as_decided =
      ended.outcome == v1::COMMITTED ? protocol::BranchPhase::kCommitted : protocol::BranchPhase::kAborted;
  for (const EndedBranch& known : ended.branches) {
    v1::BranchDescription& branch = *description.add_branches();
    branch.set_branch(known.name);
    branch.set_participant(known.participant_name);
    branch.set_state(std::string(protocol::Name(known.is_heuristic ? protocol::BranchPhase::kHeuristic : as_decided)));
    branch.set_heuristic(known.is_heuristic);
    branch.set_repaired(known.is_repaired);
    branch.set_waits_for(known.what);
  }
  return description;
}

}  // namespace assent
