#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "assent/v1/types.pb.h"
#include "base/ids.h"
#include "coordinator/engine/finish_turns.h"
#include "coordinator/engine/scheduler.h"
#include "coordinator/protocol/transition.h"
#include "participants/participant.h"

namespace assent {

// One operation of a branch, and the answer that a repeat of it gets.
struct OperationSlot {
  std::uint64_t fingerprint = 0;  // of the operation: tells a repeat from another one under its number
  bool completed = false;
  bool dropped = false;  // its stored answer gave way to the bound
  ExecuteOutcome outcome;
  std::uint64_t result_bytes = 0;  // of outcome.result, as it came
  std::vector<absl::AnyInvocable<void(const ExecuteOutcome&)>> waiters;
};

// A branch in one process: what the protocol's state does not hold.
struct BranchRun {
  std::string name;
  std::string participant_name;
  Participant* participant = nullptr;  // null where the configuration no longer names it
  std::string options;                 // as enlisted, serialised: tells a repeat from another Enlist
  std::vector<OperationSlot> operations;
  std::string token;  // from its vote, or from the log
  int attempts = 0;   // of phase two
  int failures = 0;   // of these, since the participant was last away: the next pause grows with them
  bool is_repaired = false;
  std::string waits_for;
  absl::Time since = absl::InfinitePast();  // when it began to wait: for its vote, for the others, for its end
  Scheduler::TimerId retry = 0;
  bool awaits_turn = false;        // for its next attempt
  FinishTurns::Turn turn = 0;      // of the attempt under way, where it has one
  bool attempt_under_way = false;  // of phase two, or a forced step
  std::vector<absl::AnyInvocable<void()>> after_attempt;
  absl::Time next_attempt = absl::InfinitePast();  // of phase two, while `retry` runs
};

// How far a transaction has come, for callers that wait. In order: each holds what is before it.
enum class Milestone : std::uint8_t { kNone, kDecided, kDatabasesCommitted, kCompleted };

// A transaction that this process runs. Owned by its shard's maps, and by the completions that are still to come.
struct Transaction {
  TxnId id;
  std::string request_id;
  std::string request_hash;
  absl::Time began;
  absl::Time deadline;
  absl::flat_hash_map<std::string, std::string> labels;
  Scheduler::TimerId deadline_timer = 0;
  absl::Time decided_at = absl::InfinitePast();  // as the log has it; InfinitePast: it has nothing

  protocol::State state;
  std::vector<BranchRun> branches;  // as state.branches

  bool is_submit = false;       // one reply brings all results
  bool in_log = false;          // its decision was found in the log at start: nothing else is known of it
  bool found_by_sweep = false;  // prepared work that nobody owned
  Milestone reached = Milestone::kNone;
  bool aborted = false;            // announced
  v1::TransactionFailure failure;  // why it aborts; set once

  std::uint64_t request_bytes = 0;       // of all operations
  std::uint64_t operations = 0;          // with each run of a statement
  std::uint64_t submit_reply_bytes = 0;  // of all results
  std::uint64_t stored_reply_bytes = 0;  // of all OperationSlots

  // Run once each, when the milestone is reached or the transaction has aborted.
  std::vector<std::pair<Milestone, absl::AnyInvocable<void()>>> waiters;

  // Events fed while another one is being handled wait here, in order.
  std::vector<protocol::Event> pending_events;
  bool handling_events = false;

  BranchId Branch(std::uint32_t index) const { return {id, branches[index].name}; }
  bool IsUndecided() const {
    return state.phase == protocol::Phase::kActive || state.phase == protocol::Phase::kPreparing;
  }
};

using TransactionPtr = std::shared_ptr<Transaction>;

}  // namespace assent
