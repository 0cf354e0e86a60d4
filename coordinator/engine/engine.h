#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "assent/v1/admin.pb.h"
#include "assent/v1/coordinator.pb.h"
#include "base/clock.h"
#include "coordinator/log/decision_log.h"
#include "participants/participant.h"
#include "participants/participant_context.h"

namespace assent {

// The bounds and times of a coordinator. The defaults are those of the configuration file.
struct EngineOptions {
  std::uint32_t shards = 1;
  absl::Duration default_timeout = absl::Seconds(30);
  absl::Duration max_timeout = absl::Hours(1);
  std::uint32_t max_open = 100'000;                    // transactions, in all shards; more are RESOURCE_EXHAUSTED
  std::uint32_t max_branches = 64;                     // a transaction
  std::uint64_t max_request_bytes = 16ull << 20;       // the work of one transaction
  std::uint32_t max_operations = 100'000;              // the same, with each run of a statement
  std::uint64_t max_reply_bytes = 4ull << 20;          // of one Execute or Submit
  std::uint64_t max_stored_reply_bytes = 16ull << 20;  // replies kept for repeats, a transaction
  absl::Duration outcome_retention = absl::Hours(24);  // of the log: a request_id first used before is not run again
  std::uint32_t max_remembered = 20'000;  // ended transactions kept in memory for quick repeats, in all shards
  absl::Duration sweep_interval = absl::Seconds(10);    // between two looks for prepared work that nobody owns
  absl::Duration first_retry = absl::Milliseconds(20);  // of phase two; doubles
  absl::Duration last_retry = absl::Seconds(5);         // up to this
  // Branches that are finished at a time at one participant, in all shards, of those that an earlier process left or
  // that are tried again. The others wait for their turn; those of new transactions do not.
  std::uint32_t max_recovering = 64;
  // Prepared work of another decision log under our name is left alone instead of refused (rule 6).
  bool adopt = false;
};

// What an answer runs on: some shard's thread, exactly once; it must not block. A failed status carries a serialised
// v1::TransactionFailure as payload kFailureUrl wherever the call was about a transaction.
template <typename Response>
using Reply = absl::AnyInvocable<void(absl::StatusOr<Response>)>;

inline constexpr char kFailureUrl[] = "type.googleapis.com/assent.v1.TransactionFailure";

// Makes one participant's instance for one shard.
using ParticipantFactory = std::function<absl::StatusOr<std::unique_ptr<Participant>>(const ParticipantContext&)>;

// The coordinator without its network: shards, each a thread that owns its transactions, and the log they share.
//
// Each call takes a request of the API (proto/assent/v1) and answers as documented there. Calls are thread-safe, post
// to the shard that owns the transaction, and return at once.
class Engine {
 public:
  // Starts the shards, which do nothing at any participant before CheckIdentity(). Fails where a participant cannot be
  // made. `log` and `clock` outlive the engine.
  static absl::StatusOr<std::unique_ptr<Engine>> Start(const EngineOptions& options, DecisionLog& log,
                                                       const Clock& clock,
                                                       std::vector<ParticipantFactory> participants);

  virtual ~Engine() = default;  // stops the shards; what is undecided is aborted by the next process

  virtual void Begin(v1::BeginRequest request, Reply<v1::BeginResponse> reply) = 0;
  virtual void Enlist(v1::EnlistRequest request, Reply<v1::EnlistResponse> reply) = 0;
  virtual void Execute(v1::ExecuteRequest request, Reply<v1::ExecuteResponse> reply) = 0;
  virtual void Commit(v1::CommitRequest request, Reply<v1::CommitResponse> reply) = 0;
  virtual void Abort(v1::AbortRequest request, Reply<v1::AbortResponse> reply) = 0;
  virtual void Submit(v1::SubmitRequest request, Reply<v1::SubmitResponse> reply) = 0;
  // Refuses a Submit that nobody looks into any further: `why`, and that nothing was done, unless a request was carried
  // out, or is being carried out, under its request_id, which may be the same. Of `name` nothing is looked at but
  // request_id and first_attempt.
  virtual void RefuseSubmit(v1::SubmitRequest name, absl::Status why, Reply<v1::SubmitResponse> reply) = 0;
  virtual void GetTransaction(v1::GetTransactionRequest request, Reply<v1::TransactionDescription> reply) = 0;

  virtual void ListTransactions(v1::ListTransactionsRequest request, Reply<v1::ListTransactionsResponse> reply) = 0;
  virtual void DescribeTransaction(v1::DescribeTransactionRequest request, Reply<v1::TransactionDescription> reply) = 0;
  virtual void ListParticipants(v1::ListParticipantsRequest request, Reply<v1::ListParticipantsResponse> reply) = 0;
  virtual void ListAudit(v1::ListAuditRequest request, Reply<v1::ListAuditResponse> reply) = 0;
  virtual void ResolveBranch(v1::ResolveBranchRequest request, Reply<v1::ResolveBranchResponse> reply) = 0;
  virtual void Recover(v1::RecoverRequest request, Reply<v1::RecoverResponse> reply) = 0;

  // Waits until every participant has said what it holds under our name, for at most `patience`; participants that are
  // down by then are checked when they return, and take no branches before. Then, in the background, the recovery of
  // what the log holds unfinished begins; new transactions are served meanwhile. Called once, before serving.
  //
  // FAILED_PRECONDITION where one holds work of another decision log under our coordinator name, unless options.adopt,
  // or work that a start on another copy of this log has left. CANCELLED as soon as `is_given_up` says so.
  virtual absl::Status CheckIdentity(absl::Duration patience, std::function<bool()> is_given_up) = 0;
};

}  // namespace assent
