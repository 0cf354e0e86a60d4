#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "base/check.h"
#include "base/clock.h"
#include "coordinator/engine/answer.h"
#include "coordinator/engine/engine.h"
#include "coordinator/engine/routing.h"
#include "coordinator/engine/runner.h"
#include "coordinator/engine/scheduler.h"
#include "coordinator/engine/transaction.h"
#include "coordinator/log/decision_log.h"
#include "participants/participant.h"

namespace assent {

struct EndedBranch {
  std::string name;
  std::string participant_name;
  bool is_heuristic = false;  // ended other than decided, or nobody can say
  bool is_repaired = false;
  std::string what = {};   // was found, where heuristic
  std::string token = {};  // the same
};

// What is known of a transaction that has ended. This process remembers the last ones, for quick repeats; the log knows
// of the others what was decided durably: not the reasons of aborts that nobody will ask for again.
struct EndedTransaction {
  TxnId id;
  v1::Outcome outcome = v1::OUTCOME_UNSPECIFIED;
  std::string request_id;
  std::string request_hash;
  v1::TransactionFailure failure;
  std::vector<EndedBranch> branches;             // of a commit that the log knows: those that had something to commit
  absl::Time decided_at = absl::InfinitePast();  // as the log has it
};

// The transactions of one thread: answers the API's calls about them, and keeps those that have just ended.
//
// Share-nothing: everything in here is touched by the thread of its scheduler alone, and nothing in here blocks.
class Shard {
 public:
  struct Place {
    std::uint32_t index = 0;
    std::uint32_t count = 1;
  };

  // What a participant says when it is asked, before it is taken over, what it holds under our name.
  struct FirstLook {
    std::string identity;              // OwnWork::identity
    std::vector<std::string> foreign;  // names of work that is not ours to judge
  };
  // With the reason where it does not answer.
  using FirstAnswer = std::function<void(const std::string& participant, const absl::StatusOr<FirstLook>& look)>;

  // `first_answer` runs on the first shard, which asks for all, as often as a participant is asked; what follows every
  // shard hears from a TakeOverGate.
  Shard(const EngineOptions& options, Place place, const Routing& routing, DecisionLog& log, const Clock& clock,
        Scheduler& scheduler, std::vector<std::unique_ptr<Participant>> participants, FirstAnswer first_answer);
  ~Shard();

  // Takes up what the log holds unfinished for this shard, and asks the participants what they hold. First call.
  void Start();

  // The calls of the API. `answer` is given on this thread.
  void Begin(v1::BeginRequest request, Answer<v1::BeginResponse> answer);
  void Enlist(v1::EnlistRequest request, Answer<v1::EnlistResponse> answer);
  void Execute(v1::ExecuteRequest request, Answer<v1::ExecuteResponse> answer);
  void Commit(v1::CommitRequest request, Answer<v1::CommitResponse> answer);
  void Abort(v1::AbortRequest request, Answer<v1::AbortResponse> answer);
  void Submit(v1::SubmitRequest request, Answer<v1::SubmitResponse> answer);
  void RefuseSubmit(const v1::SubmitRequest& name, const absl::Status& why, Answer<v1::SubmitResponse> answer);
  void GetTransaction(v1::GetTransactionRequest request, Answer<v1::TransactionDescription> answer);

  // ---- For operators (administration.cc) ----

  // The transactions that match, in order of their sequences, at most `limit` behind the sequence `after`.
  std::vector<v1::TransactionDescription> List(const v1::ListTransactionsRequest& request, std::uint64_t after,
                                               std::size_t limit) const;
  void DescribeTransaction(v1::DescribeTransactionRequest request, Answer<v1::TransactionDescription> answer);
  // Each participant as this shard sees it, in the order of the configuration.
  std::vector<v1::ParticipantDescription> DescribeParticipants() const;
  // Asks each of them; `done` runs once for each, with its place in that order.
  void InspectParticipants(std::function<void(std::size_t index, absl::StatusOr<Inspection> inspection)> done);
  // The same, of what this shard's branches hide.
  void MeasureHidden(std::function<void(std::size_t index, Hidden hidden)> done);
  // Records of the audit trail in the API's words.
  std::vector<v1::AuditEntry> DescribeAudit(const std::vector<v1::HeuristicRecord>& records) const;

  // A participant holds nothing foreign, which the log has recorded: what earlier processes left there is taken over,
  // that is, what is decided is finished, and prepared work of ours that nobody owns is ended. Before this nothing is
  // done at a participant.
  void TakeOver(const std::string& participant);

  // Why a participant is not taken over yet, for callers.
  void NoteSilence(const std::string& participant, const std::string& why);
  void NoteForeign(const std::string& participant, const std::vector<std::string>& foreign);

  // ---- By hand (resolution.cc) ----

  void ResolveBranch(v1::ResolveBranchRequest request, Answer<v1::ResolveBranchResponse> answer);
  // Tries at once what waits for its next attempt, and sweeps.
  v1::RecoverResponse Recover();

  std::size_t participant_count() const { return participants_.size(); }

 private:
  friend class Sweep;

  // What is known of a request: that its transaction runs, that it has ended, or neither.
  struct KnownRequest {
    TransactionPtr running;
    std::optional<EndedTransaction> ended;
  };
  // UNAVAILABLE where the log cannot be asked now.
  using ResolveDone = absl::AnyInvocable<void(absl::StatusOr<EndedTransaction>)>;
  using ResolveRequestDone = absl::AnyInvocable<void(absl::StatusOr<KnownRequest>)>;

  // Finding.
  TransactionPtr FindRunning(const TxnId& id) const;
  void ResolveEnded(const TxnId& id, ResolveDone done);
  void ResolveRequest(const std::string& request_id, ResolveRequestDone done);
  // Calls `if_running(transaction, answer)` or, when what became of it is known, `if_ended(ended, answer)`.
  template <typename Response, typename IfRunning, typename IfEnded>
  void WithTransaction(const std::string& txn_id, Answer<Response> answer, IfRunning if_running, IfEnded if_ended) {
    const auto id = ParseTxnId(txn_id);
    ASSENT_CHECK(id.has_value(), "only calls with an id are routed to a shard");
    if (const TransactionPtr running = FindRunning(*id)) return if_running(running, std::move(answer));
    ResolveEnded(*id, [answer = std::move(answer), if_ended = std::move(if_ended)](auto ended) mutable {
      if (!ended.ok()) return answer(ended.status());
      if_ended(*std::move(ended), std::move(answer));
    });
  }

  // Making.
  static absl::Status CheckRequestId(std::string_view request_id);
  // Of a request that nothing is known of: that it is not forgotten, and what it asks for.
  template <typename Request>
  absl::Status CheckRemembered(const Request& request) const;
  template <typename Request>
  absl::Status CheckNew(const Request& request) const;
  absl::Status CheckRoom() const;
  v1::TransactionFailure FailureAtDeadline(const Transaction& transaction, absl::Duration allowed) const;
  absl::Status CheckSameRequest(const std::string& request_id, const std::string& hash, const Transaction* running,
                                const std::optional<EndedTransaction>& ended) const;
  absl::Status CheckBranch(const std::string& participant, const std::string& branch) const;
  TransactionPtr Create(const std::string& request_id, const std::string& request_hash,
                        const google::protobuf::Duration& timeout,
                        const google::protobuf::Map<std::string, std::string>& labels);
  absl::Status AddBranch(const TransactionPtr& transaction, const std::string& participant_name,
                         const std::string& name, const v1::BranchOptions& options);
  Participant* FindParticipant(std::string_view name) const;
  std::string ParticipantNames() const;

  // Working and committing.
  void ExecuteIn(const TransactionPtr& transaction, v1::ExecuteRequest request, Answer<v1::ExecuteResponse> answer);
  absl::Status TooLateForWork(const Transaction& transaction) const;
  absl::Status CheckOperationsSeen(const Transaction& transaction, const v1::CommitRequest& request) const;
  absl::Status CheckSubmit(v1::SubmitRequest& request) const;
  void RunSubmit(v1::SubmitRequest request, const std::string& request_hash, Answer<v1::SubmitResponse> answer);
  void AnswerSubmit(const TransactionPtr& transaction, v1::Wait wait, Answer<v1::SubmitResponse> answer);

  // Finishing.
  void FinishDecision(const v1::DecisionRecord& record);
  void Retire(const TransactionPtr& transaction);
  void Remember(EndedTransaction ended);
  void ParticipantReturned(Participant* participant);
  std::vector<std::string> ForeignBeforeTakeOver(const Participant& participant, const OwnWork& work) const;
  std::vector<TransactionPtr> AllRunning() const;

  // Resolving by hand.
  struct HeldBranch;
  void ResolveRunning(const TransactionPtr& transaction, const v1::ResolveBranchRequest& request,
                      Answer<v1::ResolveBranchResponse> answer);
  void ResolveUndecided(const TransactionPtr& transaction, const v1::ResolveBranchRequest& request,
                        Answer<v1::ResolveBranchResponse> answer);
  void ResolveDecided(const TransactionPtr& transaction, std::uint32_t branch, v1::Outcome decided,
                      const v1::ResolveBranchRequest& request, Answer<v1::ResolveBranchResponse> answer);
  void ResolveLeft(EndedTransaction ended, v1::ResolveBranchRequest request, Answer<v1::ResolveBranchResponse> answer);
  void ResolveHeld(const std::shared_ptr<HeldBranch>& held);
  void ForceHeld(const std::shared_ptr<HeldBranch>& held);
  v1::ResolveBranchResponse Resolved(const Transaction& transaction, bool forced, std::string message) const;

  // Describing.
  std::string DescribeToken(const std::string& participant_name, const std::string& token) const;
  v1::TransactionDescription DescribeForOperators(const Transaction& transaction) const;
  v1::TransactionDescription DescribeForOperators(const EndedTransaction& ended) const;
  std::vector<TransactionPtr> OrphansOf(const TxnId& id) const;

  v1::TransactionFailure Failure(const Transaction& transaction, v1::Outcome outcome, std::string reason) const;

  const EngineOptions& options_;
  const Place place_;
  const Routing& routing_;
  DecisionLog& log_;
  const Clock& clock_;
  Scheduler& scheduler_;
  std::vector<std::unique_ptr<Participant>> participants_;
  const FirstAnswer first_answer_;
  TakeOvers take_overs_;
  Runner runner_;

  absl::btree_map<std::uint64_t, TransactionPtr> transactions_;      // running, by sequence
  absl::flat_hash_map<std::string, std::uint64_t> requests_;         // request_id -> sequence, running or remembered
  absl::flat_hash_map<std::uint64_t, EndedTransaction> remembered_;  // by sequence
  std::deque<std::uint64_t> remembered_order_;                       // oldest first
  absl::btree_map<std::string, TransactionPtr> orphans_;             // by gid: prepared work found by the sweep

  std::unique_ptr<class Sweep> sweep_;
};

// The status of a call that can no longer do anything about an ended transaction.
absl::Status StatusOfEnded(const EndedTransaction& ended);

void SetTime(absl::Time time, google::protobuf::Timestamp& proto);

// A transaction in the API's words.
v1::TransactionDescription Describe(const Transaction& transaction);
v1::TransactionDescription Describe(const EndedTransaction& ended);

}  // namespace assent
