#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "assent/v1/token.pb.h"
#include "base/clock.h"
#include "participants/participant.h"
#include "participants/postgres/connection_pool.h"
#include "participants/postgres/operation_run.h"
#include "participants/postgres/phase_two.h"
#include "participants/postgres/prepare_slots.h"

namespace assent::postgres {

// What a branch works with; all of its instance.
struct BranchSurroundings {
  const PostgresOptions& options;
  const Clock& clock;
  LoopTasks& tasks;
  ConnectionPool& pool;
  PrepareSlots& slots;
  PhaseTwo& phase_two;
};

// One branch: the transaction on a connection that it holds from its first operation to its vote.
//
//   open ---- Execute ----> working ---- Prepare ----> voted: yes ------- Commit, Abort ---> ended
//     |                        |                         |--- unknown --- Abort -----------> ended
//     |  Prepare: read-only    |  Abort                  '--- no, read-only ---------------> ended
//     '------------------------'-----------------------------------------------------------> ended
//
// What it sends up to a Sync is a segment: BEGIN, the operations at hand, and PREPARE TRANSACTION where it is asked for
// already. At most one segment is under way, so that nothing can follow a BEGIN that failed.
//
// A completion never runs inside a call of this class: it runs at the end of the turn. One thread.
class SqlBranch : public std::enable_shared_from_this<SqlBranch> {
 public:
  SqlBranch(const BranchSurroundings& surroundings, BranchId id, const v1::SqlBranchOptions& options,
            absl::Time deadline);

  void Execute(v1::Operation operation, Participant::ExecuteDone done);
  void Prepare(Participant::PrepareDone done);
  void Commit(const v1::PostgresToken& token, Participant::FinishDone done);
  void Abort(Participant::FinishDone done);
  // Nothing more will be asked.
  void Forget();

 private:
  using RunPtr = std::shared_ptr<OperationRun>;

  // ---- Deciding what to do next
  void PumpSoon();
  void Pump();
  void AskForConnection();
  void HandleGranted(ConnectionPool::ConnectionPtr connection, const BranchError& error);
  void WaitForSlot();
  void AnswerWhatCannotRun();
  void NoteLostConnection();

  // ---- One segment
  void SendSegment();
  void SendBegin();
  void SendOperations();
  void SendPrepare();
  void SendReadOnlyEnd();
  bool MayEndWithThisSegment();
  void HandleSegmentEnd(bool lost);
  void HandlePrepareAnswer(const Answer& answer);
  void WatchWork();
  void WatchPrepare();
  void Interrupt(BranchError why);

  // ---- Ends
  void ConcludePrepare();
  void ConcludeReadOnly();
  void VoteNo(BranchError error);
  void SetVote(Vote vote);
  void RollBackAndRelease();
  void RollBackForAbort();
  void AbortVoted(Participant::FinishDone done);
  void GiveBackSlot();
  void SendResetWithEnd();
  void ReleaseConnection(ConnectionPool::Reset reset);
  void SetDoom(const Doom& doom);
  ExecuteOutcome OutcomeOfNotRun();

  v1::PostgresToken Token() const;
  template <typename Done, typename Result>
  void Complete(Done done, Result result);

  const BranchSurroundings env_;
  const BranchId id_;
  const v1::SqlBranchOptions options_;
  const absl::Time deadline_;

  std::deque<RunPtr> queue_;  // not sent yet
  ConnectionPool::ConnectionPtr connection_;
  BackendIdentity backend_;  // of the connection that was held last
  ServerIdentity server_;
  bool waits_for_connection_ = false;
  ConnectionPool::WaiterId waiter_ = 0;
  bool has_slot_ = false;
  bool waits_for_slot_ = false;
  PrepareSlots::WaiterId slot_waiter_ = 0;
  bool pump_posted_ = false;

  bool has_begun_ = false;    // BEGIN was sent
  bool may_prepare_ = false;  // an operation ran what can prepare statements behind our back
  std::optional<Doom> doom_;
  bool doom_was_told_ = false;  // as an operation's own failure

  // Of the segment under way.
  bool in_flight_ = false;
  bool segment_prepares_ = false;
  bool segment_ends_read_only_ = false;
  bool segment_resets_ = false;
  bool segment_was_refused_ = false;  // the server has refused one of its commands, and skips the rest
  std::vector<RunPtr> sent_;
  LoopTasks::AlarmId alarm_ = 0;
  LoopTasks::AlarmId abort_alarm_ = 0;
  Answer::Kind end_answer_ = Answer::Kind::kLost;  // to PREPARE TRANSACTION, or to the ROLLBACK of a read-only branch
  std::string end_tag_;
  BranchError end_error_;
  bool replicas_unknown_ = false;
  bool was_read_only_ = false;
  std::uint64_t transaction_id_ = 0;

  std::vector<Participant::PrepareDone> prepares_;
  bool prepare_asked_ = false;
  std::optional<Vote> vote_;
  std::vector<Participant::FinishDone> aborts_;
  bool aborting_ = false;
  bool has_ended_ = false;  // committed or aborted, as the last call about it was told
};

}  // namespace assent::postgres
