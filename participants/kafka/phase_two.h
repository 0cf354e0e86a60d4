#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "base/ids.h"
#include "participants/kafka/branch.h"
#include "participants/kafka/cluster.h"
#include "participants/kafka/lost_markers.h"
#include "participants/kafka/transaction_end.h"
#include "participants/kafka/transactional_ids.h"
#include "participants/participant.h"

namespace assent::kafka {

// Commits and aborts branches whose records Kafka has. In quiet times a branch has ended when the coordinator of its
// transaction says so, and where Kafka may be losing markers only when those were seen.
//
// Owned by the participant, used on the shard's thread. What it is made with outlives it.
class PhaseTwo {
 public:
  using BranchPtr = std::shared_ptr<Branch>;
  using FinishDone = Participant::FinishDone;

  // `ended` runs when a branch needs nothing of Kafka any more.
  PhaseTwo(const CoordinatorId& coordinator, Cluster& cluster, LostMarkers& markers, TransactionalIds& ids,
           std::function<void(Branch&)> ended);

  // A null branch is one of an earlier process, of which only the token is known.
  void EndByToken(const BranchPtr& branch, const std::string& token, bool commit, FinishDone done);

  // Aborts a branch of whose records some may still arrive, and would open the transaction again: only a new epoch
  // rules that out.
  void AbortByFencing(const BranchPtr& branch, FinishDone done);

  // A broker was lost, and with it markers that it was about to write. The next transaction of such an id, if it has
  // not begun yet, would be mixed with its last one: it waits.
  void HoldBack(const BranchPtr& branch);

  // Where records of branches are that are prepared, or may be, and have not ended: of `branches`, and of earlier
  // processes' that this one was told to end.
  std::set<TopicPartition> PartitionsInDoubt(const absl::flat_hash_map<BranchId, BranchPtr>& branches) const;

  // The transaction that held an id is forgotten.
  void Forget(std::uint32_t number) { repairs_.erase(number); }

  std::size_t repaired_branches() const { return repaired_branches_; }

 private:
  void CheckMarkers(const BranchPtr& branch, EndedTransaction transaction, Finish finish, FinishDone done);
  void AwaitMarkers(std::uint32_t number, FinishDone done);

  const CoordinatorId& coordinator_;
  Cluster& cluster_;
  LostMarkers& markers_;
  TransactionalIds& ids_;
  const std::function<void(Branch&)> ended_;
  TransactionEnd::Repairs repairs_;
  // How the transactions have ended whose markers are looked for, by number.
  absl::flat_hash_map<std::uint32_t, Finish> awaiting_markers_;
  absl::flat_hash_map<std::uint32_t, std::set<TopicPartition>> of_earlier_processes_;  // by number, not ended
  std::size_t repaired_branches_ = 0;
};

}  // namespace assent::kafka
