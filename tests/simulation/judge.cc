#include "tests/simulation/judge.h"

namespace assent::simulation {

bool Judge::IsOurs(const std::string& participant, const std::string& gid) {
  const auto branch = ParseGid(gid);
  if (branch && branch->txn.coordinator == coordinator_) return true;
  Broken("foreign work was touched: ", gid, " at ", participant);
  return false;
}

const v1::DecisionRecord* Judge::DecisionOf(const std::string& txn_id) const {
  const auto found = decisions_.find(txn_id);
  return found == decisions_.end() ? nullptr : &found->second;
}

bool Judge::IsCommitted(const std::string& txn_id) const {
  const v1::DecisionRecord* decision = DecisionOf(txn_id);
  return decision != nullptr && decision->outcome() == v1::COMMITTED;
}

// ---- The coordinator ------------------------------------------------------------------------------------------------

void Judge::RecordsProduced(const BranchId& branch) {
  if (sql_outstanding_[branch.txn.sequence] == 0) return;
  Broken("records of ", branch.ToGid(), " are produced before the SQL of its transaction has returned");
}

void Judge::Durable(const v1::DecisionRecord& decision) {
  trace_.Note("durable: ", decision.txn_id(), decision.outcome() == v1::COMMITTED ? " committed" : " aborted",
              decision.request_id().empty() ? "" : ", request ", decision.request_id());
  if (DecisionOf(decision.txn_id()) != nullptr) return Broken("a second decision about ", decision.txn_id());
  decisions_[decision.txn_id()] = decision;
  if (decision.outcome() == v1::COMMITTED) return DurableCommit(decision);
  Reached("aborts recorded");
}

void Judge::DurableCommit(const v1::DecisionRecord& decision) {
  Reached("commits decided");
  for (const v1::BranchRecord& branch : decision.branches()) {
    const std::string gid = BranchId{*ParseTxnId(decision.txn_id()), branch.branch()}.ToGid();
    if (!holds_(branch.participant(), gid)) Broken("decided to commit, but not prepared: ", gid);
  }
  if (told_aborted_.contains(decision.txn_id())) Broken("told aborted, now committed: ", decision.txn_id());
  const std::string& request = decision.request_id();
  if (request.empty()) return;
  if (requests_told_aborted_.contains(request)) Broken("request ", request, " was told aborted, and now commits");
  if (!committed_by_request_.emplace(request, decision.txn_id()).second) {
    Broken("request ", request, " commits twice: ", committed_by_request_[request], " and ", decision.txn_id());
  }
}

void Judge::Heuristic(const v1::HeuristicRecord& heuristic) {
  Broken("a heuristic outcome, although no participant loses anything: ", heuristic.txn_id(), " branch ",
         heuristic.branch(), ": ", heuristic.what());
}

void Judge::Told(const std::string& txn_id, const std::string& request_id, v1::Outcome outcome, v1::Wait wait) {
  trace_.Note("told: ", txn_id, " ", v1::Outcome_Name(outcome), request_id.empty() ? "" : ", request ", request_id);
  const v1::DecisionRecord* decision = DecisionOf(txn_id);
  switch (outcome) {
    case v1::COMMITTED:
      if (!IsCommitted(txn_id)) return Broken("told committed without a durable decision: ", txn_id);
      if (!request_id.empty() && decision->request_id() != request_id) {
        Broken("request ", request_id, " is told the outcome of another one: ", txn_id);
      }
      return CheckVisible(*decision, wait);
    case v1::ABORTED:
      if (IsCommitted(txn_id)) return Broken("told aborted, but committed: ", txn_id);
      told_aborted_.insert(txn_id);
      if (request_id.empty()) return;
      if (committed_by_request_.contains(request_id)) Broken("request ", request_id, " is told aborted, but committed");
      requests_told_aborted_.insert(request_id);
      return;
    case v1::REFUSED:
      if (committed_by_request_.contains(request_id)) Broken("request ", request_id, " is told refused, but committed");
      return;
    case v1::FORGOTTEN:
      return Broken("told forgotten, although nothing was pruned: ", txn_id);
    default:
      return;
  }
}

void Judge::CheckVisible(const v1::DecisionRecord& decision, v1::Wait wait) {
  if (wait == v1::DECIDED) return;
  for (const v1::BranchRecord& branch : decision.branches()) {
    const bool is_waited_for = wait == v1::COMPLETED || branch.participant().starts_with("db");
    const std::string gid = BranchId{*ParseTxnId(decision.txn_id()), branch.branch()}.ToGid();
    if (is_waited_for && !committed_.contains({branch.participant(), gid})) Broken("told visible before it is: ", gid);
  }
}

// ---- Participants ---------------------------------------------------------------------------------------------------

void Judge::Prepared(const std::string& participant, const std::string& gid) {
  trace_.Note("prepared: ", gid, " at ", participant);
  if (told_aborted_.contains(ParseGid(gid)->txn.ToString())) Reached("PREPAREs that land after the abort");
}

void Judge::Committed(const std::string& participant, const std::string& gid,
                      const std::vector<std::string>& operations) {
  trace_.Note("committed: ", gid, " at ", participant);
  if (!IsOurs(participant, gid)) return;
  if (!IsCommitted(ParseGid(gid)->txn.ToString())) return Broken("committed without a durable decision: ", gid);
  if (!committed_.emplace(participant, gid).second) return Broken("committed twice: ", gid);
  CheckOperations(gid, operations);
}

// Each once and in order, none missing, and no branch of the same request before.
void Judge::CheckOperations(const std::string& gid, const std::vector<std::string>& operations) {
  if (operations.empty()) return Broken("committed without work: ", gid);
  const std::string branch = operations.front().substr(0, operations.front().rfind('/'));
  for (std::size_t i = 0; i < operations.size(); ++i) {
    if (operations[i] == absl::StrCat(branch, "/", i + 1)) continue;
    return Broken(gid, " commits ", operations[i], " where operation ", i + 1, " of ", branch, " belongs");
  }
  const auto planned = planned_.find(branch);
  if (planned == planned_.end() || planned->second != operations.size()) {
    return Broken(gid, " commits ", operations.size(), " operations of ", branch, ", which has another number");
  }
  if (!applied_.insert(branch).second) Broken("the work of ", branch, " is committed twice, the second time as ", gid);
}

void Judge::RolledBack(const std::string& participant, const std::string& gid) {
  trace_.Note("rolled back: ", gid, " at ", participant);
  if (!IsOurs(participant, gid)) return;
  if (IsCommitted(ParseGid(gid)->txn.ToString())) Broken("rolled back, but decided to commit: ", gid);
}

// ---- The end --------------------------------------------------------------------------------------------------------

void Judge::CheckTheEnd(const std::set<std::uint64_t>& ended) {
  for (const auto& [txn_id, decision] : decisions_) {
    if (decision.outcome() != v1::COMMITTED) continue;
    if (!ended.contains(ParseTxnId(txn_id)->sequence)) Broken("decided to commit, and never ended: ", txn_id);
    CheckVisible(decision, v1::COMPLETED);
  }
}

}  // namespace assent::simulation
