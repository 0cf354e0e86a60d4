#pragma once

#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "coordinator/log/decision_log.h"
#include "participants/participant.h"

namespace assent {

class Shard;

// Looks for prepared work that carries this coordinator's id and that nobody owns: what a process left prepared that
// died before its decision, a PREPARE that landed after its transaction had ended, a committed branch that a failover
// brought back. Lists first and asks the owning shard then (rule 6 of docs/protocol.md), so that what it ends is never
// running.
//
// Owned by its shard, on the shard's thread. Each shard sweeps what routes to it.
class Sweep {
 public:
  explicit Sweep(Shard& shard);

  // Starts sweeping: often at first, when the backends of the last process may still be ending, then at the interval.
  // Once; further calls do nothing.
  void Enable();

  // Sweeps a participant at once: it may hold what it held when it went away.
  void ParticipantReturned(Participant* participant);

 private:
  void RunAll();
  void Run(Participant* participant);
  void CheckFirst(Participant* participant, const OwnWork& work);
  bool Quarantine(const std::string& participant, const std::vector<std::string>& foreign);
  void Judge(Participant* participant, const OwnWork& work);
  void End(Participant* participant, const InDoubtBranch& found);

  Shard& shard_;
  bool enabled_ = false;
  absl::Duration next_delay_;
  absl::flat_hash_set<Participant*> asked_again_;  // soon, for their first answer
  // Branches of this epoch that the last list held: what stands in two lists and is not running has really been left.
  absl::flat_hash_map<std::string, absl::flat_hash_set<std::string>> seen_before_;  // participant -> gids
};

// The names of what `work` holds that is not ours to judge: of another decision log under our name, or of a start
// that `start` does not know: a later one, or one that had the same number. `may_be_ours` tells of the transactions of
// this number which this start may have begun.
std::vector<std::string> ForeignWork(const OwnWork& work, const LogStart& start,
                                     absl::FunctionRef<bool(const TxnId&)> may_be_ours);

}  // namespace assent
