#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "assent/v1/log.pb.h"
#include "base/ids.h"
#include "tests/simulation/trace.h"

namespace assent::simulation {

// Sees everything: what is durable in the log, what the participants really did, what callers were told. Holds the
// invariants of docs/protocol.md against it, at each step. The first that is broken ends the run.
class Judge {
 public:
  // `holds`: whether a participant holds this branch prepared now.
  using Holds = std::function<bool(const std::string& participant, const std::string& gid)>;

  Judge(Trace& trace, CoordinatorId coordinator) : trace_(trace), coordinator_(std::move(coordinator)) {}
  void KnowParticipants(Holds holds) { holds_ = std::move(holds); }

  const std::optional<std::string>& violation() const { return violation_; }
  template <typename... Pieces>
  void Broken(const Pieces&... pieces) {
    trace_.Note("BROKEN: ", pieces...);
    if (!violation_) violation_ = absl::StrCat(pieces...);
  }

  // Somewhere that runs must get to. A simulation that no longer does finds less than it did.
  void Reached(const std::string& where) { ++reached_[where]; }
  const std::map<std::string, std::uint64_t>& reached() const { return reached_; }
  std::size_t decisions() const { return decisions_.size(); }

  // ---- What clients ask for ----
  // The operations of this branch, should it commit, are "<branch>/1" … "<branch>/<operations>".
  void Plan(const std::string& branch, std::uint64_t operations) { planned_[branch] = operations; }

  // ---- What the coordinator does ----
  void SqlStarted(const TxnId& txn) { ++sql_outstanding_[txn.sequence]; }
  void SqlReturned(const TxnId& txn) { --sql_outstanding_[txn.sequence]; }
  void RecordsProduced(const BranchId& branch);
  void Durable(const v1::DecisionRecord& decision);
  void Heuristic(const v1::HeuristicRecord& heuristic);
  // An answer leaves: `request_id` is empty where its call carried none.
  void Told(const std::string& txn_id, const std::string& request_id, v1::Outcome outcome, v1::Wait wait = v1::DECIDED);

  // ---- What participants did ----
  void Prepared(const std::string& participant, const std::string& gid);
  void Committed(const std::string& participant, const std::string& gid, const std::vector<std::string>& operations);
  void RolledBack(const std::string& participant, const std::string& gid);

  // After everything has healed.
  void CheckTheEnd(const std::set<std::uint64_t>& ended);

 private:
  bool IsOurs(const std::string& participant, const std::string& gid);
  const v1::DecisionRecord* DecisionOf(const std::string& txn_id) const;
  bool IsCommitted(const std::string& txn_id) const;
  void DurableCommit(const v1::DecisionRecord& decision);
  void CheckVisible(const v1::DecisionRecord& decision, v1::Wait wait);
  void CheckOperations(const std::string& gid, const std::vector<std::string>& operations);

  Trace& trace_;
  const CoordinatorId coordinator_;
  Holds holds_;
  std::optional<std::string> violation_;
  std::map<std::string, std::uint64_t> planned_;
  std::map<std::uint64_t, int> sql_outstanding_;             // by sequence
  std::map<std::string, v1::DecisionRecord> decisions_;      // by transaction
  std::map<std::string, std::string> committed_by_request_;  // request_id -> transaction
  std::set<std::string> told_aborted_;                       // transactions
  std::set<std::string> requests_told_aborted_;
  std::set<std::pair<std::string, std::string>> committed_;  // participant, gid
  std::set<std::string> applied_;                            // branches, as planned
  std::map<std::string, std::uint64_t> reached_;
};

}  // namespace assent::simulation
