#pragma once

#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
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
  void Enable();

  // Sweeps a participant at once: it may hold what it held when it went away.
  void ParticipantReturned(Participant* participant);

 private:
  void RunAll();
  void Run(Participant* participant);
  void Judge(Participant* participant, const OwnWork& work);
  void End(Participant* participant, const InDoubtBranch& found);

  Shard& shard_;
  bool enabled_ = false;
  absl::Duration next_delay_;
  // Branches of this epoch that the last list held: what stands in two lists and is not running has really been left.
  absl::flat_hash_map<std::string, absl::flat_hash_set<std::string>> seen_before_;  // participant -> gids
};

// The names of what `work` holds that is not ours to judge: of another decision log under our name, or of a start
// that `log` does not know.
std::vector<std::string> ForeignWork(const OwnWork& work, const DecisionLog& log);

}  // namespace assent
