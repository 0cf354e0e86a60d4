#pragma once

#include <cstdint>
#include <string_view>
#include <variant>

#include "absl/container/inlined_vector.h"

// The commit protocol: two-phase commit with presumed abort, as one pure function.
//
// It does no I/O and knows no clock, lock or randomness: the engine tells it what happened (an Event), and it answers
// with the next state and with what is to be done (Actions). Recovery feeds the same function: there is no second path.
//
// Sources: Mohan, Lindsay and Obermarck, "Transaction Management in the R* Distributed Database Management System"
// (1986), for presumed abort; Gray and Lamport, "Consensus on Transaction Commit" (2006), for the states;
// docs/protocol.md.
namespace assent::protocol {

// Where a transaction stands.
//
//            CommitAsked            last yes              DecisionDurable          last branch ended     EndDurable
//   kActive ------------> kPreparing --------> kDeciding ----------------> kCommitting ------------> kCommitted ---->
//   kEnded
//      |                      |
//      |  AbortAsked          |  AbortAsked, DeadlinePassed,                 last branch ended,
//      |  DeadlinePassed      |  a vote of no or unknown, failed work        and recorded if it must be
//      +----------------------+----------------------------> kAborting ------------------------------> kEnded
//
// From kDeciding on nothing can abort: the decision may be durable already, whatever we know.
// The last-resource path will enter between kPreparing and kCommitting, beside kDeciding: there the local commit of one
// branch, and not our log, makes the decision.
enum class Phase : std::uint8_t { kActive, kPreparing, kDeciding, kCommitting, kCommitted, kAborting, kEnded };

// Where one branch stands.
//
//   kOpen --> kHeld --> kPreparing --> kPrepared --> kCommitting --> kCommitted
//                            |  |  |        |            +---------> kHeuristic
//                            |  |  |        +------> kAborting ----> kAborted
//                            |  |  +-- unknown --> kInDoubt --> kAborting
//                            |  +-- no ------------------------> kAborted
//                            +-- nothing to commit ------------> kReadOnly
// An open or held branch goes straight to kAborting when the transaction aborts.
enum class BranchPhase : std::uint8_t {
  kOpen,        // work may be done in it
  kHeld,        // Commit was asked for; its prepare waits until the SQL branches have returned (order)
  kPreparing,   // asked for its vote
  kPrepared,    // voted yes
  kInDoubt,     // its vote never came: it may be prepared, now or later
  kCommitting,  // told to commit
  kAborting,    // told to abort
  kCommitted,
  kAborted,
  kReadOnly,   // had nothing to commit, and has ended
  kHeuristic,  // ended other than decided, or nobody knows; recorded for an operator
};

enum class BranchKind : std::uint8_t { kDatabase, kBroker };

enum class VoteKind : std::uint8_t { kYes, kReadOnly, kNo, kUnknown };

struct Branch {
  BranchKind kind = BranchKind::kDatabase;
  // Prepared only after every database branch has returned from its work and holds its locks, so that the events of a
  // row appear in the order of its commits. Brokers only.
  bool after_databases = false;
  BranchPhase phase = BranchPhase::kOpen;
  std::uint32_t operations_outstanding = 0;

  friend bool operator==(const Branch&, const Branch&) = default;
};

struct State {
  Phase phase = Phase::kActive;
  // An abort must be durable before anybody hears of it: the caller named the request, and may ask again after a crash.
  bool abort_is_recorded = false;
  bool abort_is_durable = false;
  absl::InlinedVector<Branch, 2> branches;

  friend bool operator==(const State&, const State&) = default;
};

// ---- Events: what happened ------------------------------------------------------------------------------------------

struct Enlisted {
  BranchKind kind;
  bool after_databases;
};
struct WorkStarted {
  std::uint32_t branch;
};
struct WorkReturned {
  std::uint32_t branch;
  bool ok;
};
struct CommitAsked {};
struct AbortAsked {};
struct DeadlinePassed {};
struct Voted {
  std::uint32_t branch;
  VoteKind vote;
};
struct DecisionDurable {};
struct AbortDurable {};
enum class Ending : std::uint8_t { kAsTold, kHeuristic };
struct BranchEnded {
  std::uint32_t branch;
  Ending ending;
};
struct EndDurable {};

using Event = std::variant<Enlisted, WorkStarted, WorkReturned, CommitAsked, AbortAsked, DeadlinePassed, Voted,
                           DecisionDurable, AbortDurable, BranchEnded, EndDurable>;

// ---- Actions: what is to be done ------------------------------------------------------------------------------------

enum class ActionKind : std::uint8_t {
  kPrepareBranch,               // ask the branch for its vote                                        -> Voted
  kWriteDecision,               // make "committed" durable                                           -> DecisionDurable
  kWriteAbort,                  // make "aborted" durable                                             -> AbortDurable
  kCommitBranch,                // tell the branch to commit, until it answers                        -> BranchEnded
  kAbortBranch,                 // tell the branch to abort, until it answers                         -> BranchEnded
  kWriteEnd,                    // note that every branch has ended; need not be synced by itself     -> EndDurable
  kForgetBranch,                // nothing will be asked about the branch again
  kAnnounceDecided,             // callers may hear: it will be committed everywhere
  kAnnounceDatabasesCommitted,  // callers may hear: it is committed in every database
  kAnnounceCompleted,           // callers may hear: it is committed in every branch
  kAnnounceAborted,             // callers may hear: it is aborted
  kRetire,                      // nothing is left to do
};

struct Action {
  ActionKind kind;
  std::uint32_t branch = 0;  // of the kinds that name one

  friend bool operator==(const Action&, const Action&) = default;
};

using Actions = absl::InlinedVector<Action, 6>;

struct Step {
  State next;
  Actions actions;
};

// The protocol. Total: every event is answered in every state; one that has lost its meaning (a vote after the abort, a
// deadline after the decision) changes nothing. Events about a branch that does not exist are a CHECK.
[[nodiscard]] Step Transition(const State& state, const Event& event);

// ---- Where recovery starts ------------------------------------------------------------------------------------------

// A transaction whose decision to commit is in the log. Feed DecisionDurable next.
[[nodiscard]] State DecidedInTheLog(const absl::InlinedVector<BranchKind, 2>& branches);

// Prepared work of ours without a decision. Feed AbortAsked next: presumed abort.
[[nodiscard]] State PreparedWithoutDecision(BranchKind branch);

std::string_view Name(Phase phase);        // "preparing"
std::string_view Name(BranchPhase phase);  // "in doubt"

}  // namespace assent::protocol
