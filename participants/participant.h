#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/time/time.h"
#include "assent/v1/types.pb.h"
#include "base/ids.h"

namespace assent {

// What kind of store a participant is: decides what waits for whom (docs/protocol.md, "wait" and "order").
enum class ParticipantKind { kDatabase, kBroker };

// Why a participant refused or could not do something: for the caller, in its own terms.
struct BranchError {
  absl::StatusCode code = absl::StatusCode::kUnknown;
  std::string message;           // what went wrong, with which name and value, and what to do
  std::string sqlstate;          // PostgreSQL's, five characters; empty for others
  int kafka_error = 0;           // Kafka's error code; 0 for others
  std::string kafka_error_name;  // "UNKNOWN_TOPIC_OR_PARTITION"
  bool retryable = false;        // a new attempt of the same work may succeed
};

// The answer of a branch to an operation: a result, or why there is none.
struct ExecuteOutcome {
  bool ok = false;
  v1::OperationResult result;  // where ok
  BranchError error;           // where not ok
};

// The answer of a branch to "can you commit?".
struct Vote {
  enum class Kind {
    kYes,       // prepared: it can commit and abort from now on, whatever crashes
    kReadOnly,  // nothing to commit; the branch has ended
    kNo,        // it cannot commit; the branch has ended, or ends with Abort()
    kUnknown,   // no answer: it may be prepared or become so later
  };
  Kind kind = Kind::kUnknown;
  // Of a yes: all that a later process needs to finish the branch. Of an unknown: the same, as far as known.
  std::string token;
  BranchError error;  // of a no or an unknown
};

// The answer of a branch to "commit" or "abort".
struct Finish {
  enum class Kind {
    kDone,       // it has ended as asked, now or before
    kRetry,      // not known, or not now: ask again, with the same token
    kHeuristic,  // it ended otherwise, or nobody can say any more: an operator has to look
  };
  Kind kind = Kind::kRetry;
  std::string message;    // why not done
  bool repaired = false;  // done, by doing the branch's work again
};

// A branch that a participant holds prepared under this coordinator's name.
struct InDoubtBranch {
  BranchId branch;    // of any incarnation and epoch: the caller decides which are its own
  std::string token;  // for Commit() and Abort()
  absl::Time prepared_at;
};

// What a participant holds under this coordinator's name.
struct OwnWork {
  // What the participant is, whatever it is called: two with the same one hold the same work. Empty: it does not say.
  std::string identity;
  std::vector<InDoubtBranch> branches;
  // Ids of things other than branches that carry this coordinator's name and another incarnation, such as transactional
  // ids: another decision log works, or worked, here under this name.
  std::vector<std::string> foreign;
  // Those of them under which work is open: this coordinator never ends it, and an operator has to.
  std::vector<std::string> foreign_open;
  // Things other than branches, of this coordinator, under which work is open that no decision needs and nobody here
  // has begun: TakeOver() ends it.
  std::vector<std::string> left_open;
};

// How a participant is doing, for operators.
struct ParticipantHealth {
  bool available = false;
  std::string message;  // "PostgreSQL 15.3, 4 of 16 connections" or why not available
};

// What a look at a participant gave, for operators.
struct Inspection {
  // How many branches of anybody it can hold prepared, and how many it does: -1 where there is no such bound.
  std::int64_t prepared_limit = -1;
  std::int64_t prepared = -1;
  std::vector<v1::Finding> findings;  // about its settings; their subject is left to the caller
};

// What branches in doubt keep from readers who want committed work alone, in the one place where that is most.
struct Hidden {
  std::int64_t records = -1;  // -1: there is no such branch, or nobody could tell
  std::string place;          // "orders[1]"
  bool is_partial = false;    // in some places nobody could tell in time: it may be more
};

// Bytes that nobody here can read, in hexadecimal: the first of them.
inline std::string DescribeUnknownToken(const std::string& token) {
  constexpr std::size_t kMostBytes = 64;
  const std::string hex = absl::BytesToHexString(token.substr(0, kMostBytes));
  return token.size() > kMostBytes ? hex + "…" : hex;
}

// One participant as one shard sees it: the port that every adapter implements.
//
// Owner and thread: an instance belongs to one shard. Every call is made on that shard's thread, and every completion
// runs there, exactly once, possibly before the call returns. Nothing blocks.
//
// Three results: each completion says success, failure or unknown; an answer that never comes is unknown, after a
// timeout of the adapter's own. Every call is idempotent, keyed by the branch: a repeat joins or answers like the
// first.
//
// A branch lives from Open() to the completion of its end: a vote of kReadOnly, or Commit() or Abort() done.
// Commit() and Abort() also work from the token alone, for branches of earlier processes.
class Participant {
 public:
  using ExecuteDone = absl::AnyInvocable<void(ExecuteOutcome)>;
  using PrepareDone = absl::AnyInvocable<void(Vote)>;
  using FinishDone = absl::AnyInvocable<void(Finish)>;
  using ListDone = absl::AnyInvocable<void(absl::StatusOr<OwnWork>)>;
  using InspectDone = absl::AnyInvocable<void(absl::StatusOr<Inspection>)>;
  using HiddenDone = absl::AnyInvocable<void(Hidden)>;

  virtual ~Participant() = default;

  virtual std::string_view name() const = 0;  // from the configuration
  virtual ParticipantKind kind() const = 0;

  // Before any other call; it changes nothing at the participant. `unfinished_tokens` are those of every decided branch
  // in the log that has not ended yet, of this participant or of one that has no name any more and may be this one:
  // what they hold must not be touched except through Commit() and Abort(). `on_available` runs each time that the
  // participant can be reached again after it could not, the first time included.
  virtual void Start(std::vector<std::string> unfinished_tokens, std::function<void()> on_available) = 0;

  // The coordinator has seen that what the participant holds under its name is its own: from now on the adapter may end
  // what earlier processes left. Once, before any branch is opened, committed or aborted. The participant may be away.
  virtual void TakeOver() = 0;

  // Registers a branch. INVALID_ARGUMENT for options that this participant does not have, RESOURCE_EXHAUSTED at a
  // bound. No work is done before the first Execute(). `deadline` is the transaction's: waiting inside the adapter ends
  // there.
  virtual absl::Status Open(const BranchId& branch, const v1::BranchOptions& options, absl::Time deadline) = 0;

  // Does work in the branch. Operations of one branch run in order of the calls; the next may be called before the
  // previous has completed. After a failure the branch may be unable to prepare; the adapter knows, and votes no.
  virtual void Execute(const BranchId& branch, v1::Operation operation, ExecuteDone done) = 0;

  // Asks for the branch's vote. May be called before the branch's operations have completed: it runs after them, in the
  // same round trip where the participant can, and it votes no where one of them failed.
  virtual void Prepare(const BranchId& branch, PrepareDone done) = 0;

  // Commits a prepared branch. Called only after the decision is durable. One attempt; the caller repeats kRetry.
  virtual void Commit(const BranchId& branch, const std::string& token, FinishDone done) = 0;

  // Rolls a branch back, whatever it has reached: open, prepared, or unknown. `token` is empty where no vote brought
  // one. One attempt; the caller repeats kRetry.
  virtual void Abort(const BranchId& branch, const std::string& token, FinishDone done) = 0;

  // The transaction has ended durably, and nothing will be asked about the branch again: what its token pins may be
  // used again.
  virtual void Forget(const BranchId& branch, const std::string& token) = 0;

  // Lists what this participant holds prepared under this coordinator's name, of every incarnation and epoch.
  virtual void ListOwn(ListDone done) = 0;

  virtual ParticipantHealth health() const = 0;

  // Looks at the participant's settings and its room, for operators; changes nothing.
  virtual void Inspect(InspectDone done) { done(Inspection()); }

  // Looks at what the branches in doubt of this instance hide, for operators; changes nothing. For those that hide work
  // of others behind theirs.
  virtual void MeasureHidden(HiddenDone done) { done(Hidden()); }

  // A token of this participant's in words. It shows no data of the branch's.
  virtual std::string DescribeToken(const std::string& token) const { return DescribeUnknownToken(token); }
};

}  // namespace assent
