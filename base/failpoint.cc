#include "base/failpoint.h"

namespace assent {

std::string_view Name(Failpoint failpoint) {
  switch (failpoint) {
    case Failpoint::kStartUnwritten:
      return "start_unwritten";
    case Failpoint::kStartWritten:
      return "start_written";
    case Failpoint::kRecoveryBegins:
      return "recovery_begins";
    case Failpoint::kTakeOverBegins:
      return "take_over_begins";
    case Failpoint::kBegun:
      return "begun";
    case Failpoint::kWorkUnsent:
      return "work_unsent";
    case Failpoint::kWorkSent:
      return "work_sent";
    case Failpoint::kWorkReturned:
      return "work_returned";
    case Failpoint::kPrepareUnsent:
      return "prepare_unsent";
    case Failpoint::kPrepareSent:
      return "prepare_sent";
    case Failpoint::kVoteReturned:
      return "vote_returned";
    case Failpoint::kGroupUnwritten:
      return "group_unwritten";
    case Failpoint::kGroupSynced:
      return "group_synced";
    case Failpoint::kGroupMarked:
      return "group_marked";
    case Failpoint::kDecisionUnwritten:
      return "decision_unwritten";
    case Failpoint::kDecisionDurable:
      return "decision_durable";
    case Failpoint::kCommitUnsent:
      return "commit_unsent";
    case Failpoint::kCommitSent:
      return "commit_sent";
    case Failpoint::kCommitReturned:
      return "commit_returned";
    case Failpoint::kAbortUnsent:
      return "abort_unsent";
    case Failpoint::kAbortSent:
      return "abort_sent";
    case Failpoint::kAbortReturned:
      return "abort_returned";
    case Failpoint::kReplyUnsent:
      return "reply_unsent";
    case Failpoint::kReplySent:
      return "reply_sent";
    case Failpoint::kEndUnwritten:
      return "end_unwritten";
    case Failpoint::kEndDurable:
      return "end_durable";
    case Failpoint::kSweepEnds:
      return "sweep_ends";
  }
  return "";
}

}  // namespace assent
