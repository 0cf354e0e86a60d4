#pragma once

#include <set>
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
struct EndedTransaction;

// Looks for prepared work that carries this coordinator's id and that nobody owns: what a process left prepared that
// died before its decision, a PREPARE that landed after its transaction had ended, a committed branch that a failover
// brought back. Lists first and asks the owning shard then (rule 6 of docs/protocol.md), so that what it ends is never
// running.
//
// Owned by its shard, on the shard's thread. Each shard sweeps what routes to it.
class Sweep {
 public:
  explicit Sweep(Shard& shard);

  // Sweeps every participant, and goes on: often at first, when the backends of the last process may still be ending,
  // then at the interval. Once.
  void SweepAll();

  // Sweeps a participant now: it may hold what it held when it went away. One that is not taken over yet is asked, by
  // the first shard for all, what it holds; nothing is ended there.
  void SweepOne(Participant* participant);

  // The same in a moment: after a take-over, when what earlier processes decided is being finished already.
  void SweepSoon(Participant* participant);

  // Sweeps every participant now. How many there are.
  int RunNow();

  // Ends what a participant holds of an ended transaction, committed or aborted, as that was decided.
  void Own(Participant* participant, const InDoubtBranch& found, const EndedTransaction& ended);

  // What the last look at a participant found under our name and this coordinator may not end: that of another decision
  // log or a later epoch, and that whose outcome is forgotten. For operators; at most kMostLeftAlone.
  std::vector<std::string> LeftAlone(const Participant* participant) const;

 private:
  void NoteAnswer(const Participant* participant, const absl::Status& answer);
  void CheckFirst(Participant* participant, const OwnWork& work);
  void Judge(Participant* participant, const OwnWork& work);
  void End(Participant* participant, const InDoubtBranch& found, bool was_seen);
  void LeaveAlone(const Participant* participant, const std::string& id);
  void LeaveAlone(const Participant* participant, const OwnWork& work, const std::vector<std::string>& foreign);

  Shard& shard_;
  absl::Duration next_delay_;
  absl::flat_hash_set<Participant*> asked_again_;                    // soon, for their first answer
  absl::flat_hash_map<const Participant*, std::string> last_error_;  // of asking
  // Branches that the last list held: what stands in two lists and is not running has really been left. A list is older
  // than its answer, and what this process ran may have ended since; work of earlier ones without a decision cannot.
  absl::flat_hash_map<std::string, absl::flat_hash_set<std::string>> seen_before_;  // participant -> gids
  absl::flat_hash_map<const Participant*, std::set<std::string>> left_alone_;
};

// The names of what a participant holds that is not ours to judge: of another decision log under our name, or of a
// start on another copy of this one, which has taken the participant over in an epoch in which this log has not.
// `may_be_ours` tells of this start's own epoch which transactions it may have begun. `adopt`: without what another log
// has left, which stays to its operator.
std::vector<std::string> ForeignWork(const OwnWork& work, const LogStart& start, const std::string& participant,
                                     bool adopt, absl::FunctionRef<bool(const TxnId&)> may_be_ours);

}  // namespace assent
