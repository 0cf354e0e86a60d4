#pragma once

#include <cstdint>
#include <string_view>

namespace assent {

// Places on both sides of every durable step and of every message of the protocol, where tests end the process as a
// crash would. In assentd they do nothing; in assentd_crash, which links failpoint_on.cc over the same objects, the
// environment names one (tests/crash/README.md).
enum class Failpoint : std::uint8_t {
  // Starting.
  kStartUnwritten,  // the new epoch stands nowhere yet
  kStartWritten,    // it is durable
  kRecoveryBegins,  // the engine has taken up what the log holds unfinished
  kTakeOverBegins,  // every participant has said what it holds; nothing is done about it yet
  // Work.
  kBegun,         // a transaction exists, and its caller does not know
  kWorkUnsent,    // an operation is about to go to its participant
  kWorkSent,      // it has been handed over
  kWorkReturned,  // its answer has come
  // Votes.
  kPrepareUnsent,
  kPrepareSent,
  kVoteReturned,
  // The log: decisions, ends and reservations, whatever a group holds.
  kGroupUnwritten,
  kGroupSynced,  // durable; the mark beside the log does not say so yet
  kGroupMarked,  // nobody has been told
  // Phase two.
  kDecisionUnwritten,
  kDecisionDurable,  // and nothing has come of it
  kCommitUnsent,
  kCommitSent,
  kCommitReturned,
  kAbortUnsent,
  kAbortSent,
  kAbortReturned,
  // Replies.
  kReplyUnsent,  // the outcome stands, and its caller does not know
  kReplySent,
  // The end.
  kEndUnwritten,
  kEndDurable,
  kSweepEnds,  // prepared work that nobody owns is about to be ended
};

std::string_view Name(Failpoint failpoint);  // "decision_durable"

inline constexpr int kFailpoints = static_cast<int>(Failpoint::kSweepEnds) + 1;

// The process has come there.
void HitFailpoint(Failpoint failpoint);

}  // namespace assent
