#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "assent/v1/log.pb.h"
#include "base/ids.h"

namespace assent {

// What a decision log knows at its opening, after the last process that wrote it.
struct LogStart {
  CoordinatorId coordinator;
  std::uint32_t epoch = 0;                     // of this process: one more than that of the last, durable already
  std::uint64_t reserved_sequences = 0;        // every sequence of earlier epochs is at most this one
  std::vector<v1::DecisionRecord> unfinished;  // decided and not ended, in order of their sequences
  // The epoch of the last process that took a participant over, by the participant's name (RecordTakeOver()).
  absl::flat_hash_map<std::string, std::uint32_t> taken_over;

  // The last epoch of which this log can have work at a participant. One that the log has no record of may have had
  // another name: it goes by the others.
  std::uint32_t LastTakeOverOf(const std::string& participant) const;
};

// What became of a transaction, as far as the log knows.
struct LoggedOutcome {
  v1::DecisionRecord decision;  // of an ended transaction: without its branches' tokens
  bool ended = false;
  std::vector<v1::HeuristicRecord> heuristics;  // of its branches that did not follow it
};

// A part of the audit trail, in the order of the transactions' sequences and, within one, of time.
struct AuditPage {
  std::vector<v1::HeuristicRecord> records;
  std::string last_key;  // of the last of them: where the next page begins. Empty: there is no more
};

// The durable memory of a coordinator: its decisions, its outcomes, and who it is. Decisions are synced before
// `done` runs; a write that fails ends the process, because nobody knows what a later process will read (LevelDB and
// PostgreSQL learnt the same about fsync).
//
// Thread-safe. Every completion runs on a thread of the log's own: post it to where it belongs. It must not block.
class DecisionLog {
 public:
  using Done = absl::AnyInvocable<void()>;
  using FindDone = absl::AnyInvocable<void(absl::StatusOr<std::optional<LoggedOutcome>>)>;
  using AuditDone = absl::AnyInvocable<void(absl::StatusOr<AuditPage>)>;

  virtual ~DecisionLog() = default;

  // What Open found. Constant.
  virtual const LogStart& start() const = 0;

  // Makes a decision durable, then runs `done`. Decisions become durable in the order of the calls of one thread, in
  // groups. At most one for each transaction, ever. An abort has nothing to finish: it has ended with its decision.
  virtual void Decide(const v1::DecisionRecord& decision, Done done) = 0;

  // Notes that every branch of a decided transaction has ended. Rides with the next group; `done` runs when it is
  // durable, after at most Options::end_sync_delay where no group comes. Without `done` it may stay unsynced for as
  // long as no group comes: the worst is that a later process finishes the transaction again.
  virtual void End(const TxnId& txn, Done done) = 0;

  // Records that from this process on, which is of `epoch`, work of this log may stand at a participant; synced, then
  // `done`. A start that was refused leaves no such record: what stands there of its number is another log's.
  virtual void RecordTakeOver(const std::string& participant, std::uint32_t epoch, Done done) = 0;

  // Records a branch that did not follow its decision, or a step that an operator forces, of which the transaction may
  // be another log's; synced, then `done`.
  virtual void RecordHeuristic(const v1::HeuristicRecord& heuristic, Done done) = 0;

  // The next sequence, from a durably reserved range: later processes know that it was given out. Never blocks: ranges
  // are reserved ahead, and running out of one is a CHECK.
  virtual std::uint64_t NextSequence() = 0;

  // The highest sequence given out so far, in this epoch or an earlier one.
  virtual std::uint64_t last_sequence() const = 0;

  // False: no decision under this request_id is in the log. True: perhaps; ask FindRequest(). Does no I/O.
  virtual bool RequestMayExist(std::string_view request_id) const = 0;

  // What the log knows of a transaction or a request; nothing where there is no record. Of a transaction without an
  // outcome that may be the audit trail alone. UNAVAILABLE, before the call returns, where too many such questions wait
  // already.
  virtual void FindTransaction(const TxnId& txn, FindDone done) = 0;
  virtual void FindRequest(std::string_view request_id, FindDone done) = 0;

  // The audit trail behind `after`, a page's last_key, or from its beginning where that is empty; at most `limit`
  // records. UNAVAILABLE as above.
  virtual void ListAudit(std::string after, std::size_t limit, AuditDone done) = 0;

  // Waits until every call so far has completed. Calls that their completions make are not waited for.
  virtual void Drain() = 0;

  // Transactions with a smaller sequence are forgotten where they have no record. Rises as outcomes are pruned.
  virtual std::uint64_t forgotten_before() const = 0;

  // A request first made before this moment may have been pruned: it must be refused as forgotten. InfinitePast while
  // nothing was pruned.
  virtual absl::Time requests_forgotten_before() const = 0;
};

}  // namespace assent
