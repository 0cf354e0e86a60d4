#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/log/decision_log.h"
#include "tests/simulation/event_queue.h"
#include "tests/simulation/faults.h"
#include "tests/simulation/judge.h"
#include "tests/simulation/process.h"
#include "tests/simulation/random.h"

namespace assent::simulation {

// What a decision log has made durable: outlives processes.
struct Disk {
  CoordinatorId coordinator;
  std::uint32_t epoch = 0;
  std::uint64_t reserved_sequences = 0;
  std::map<std::uint64_t, v1::DecisionRecord> decisions;  // by sequence
  std::map<std::string, std::uint64_t> requests;          // -> sequence
  std::set<std::uint64_t> ended;
  std::map<std::string, std::uint32_t> taken_over;  // participant -> epoch
};

// The decision log as one process has it open. Writes gather while the last group is being synced; a crash keeps the
// front of what was under way, none or all of it, whoever has heard of it. A failed sync ends the process (rule 2).
// Reservations of sequences are durable at once: running out of them is not what is simulated.
class SimulatedLog final : public DecisionLog {
 public:
  SimulatedLog(Disk& disk, EventQueue& queue, Random& random, const Faults& faults, Judge& judge, ProcessPtr process);
  // The process has died: settles what of its last writes is durable.
  ~SimulatedLog() override;

  const LogStart& start() const override { return start_; }
  void Decide(const v1::DecisionRecord& decision, Done done) override;
  void End(const TxnId& txn, Done done) override;
  void RecordTakeOver(const std::string& participant, std::uint32_t epoch, Done done) override;
  void RecordHeuristic(const v1::HeuristicRecord& heuristic, Done done) override;
  std::uint64_t NextSequence() override;
  std::uint64_t last_sequence() const override { return last_sequence_; }
  bool RequestMayExist(std::string_view request_id) const override;
  void FindTransaction(const TxnId& txn, FindDone done) override;
  void FindRequest(std::string_view request_id, FindDone done) override;
  void ListAudit(std::string, std::size_t, AuditDone done) override { done(AuditPage()); }  // no operator is simulated
  void Drain() override {}
  std::uint64_t forgotten_before() const override { return 0; }
  absl::Time requests_forgotten_before() const override { return absl::InfinitePast(); }

 private:
  struct Write {
    std::optional<v1::DecisionRecord> decision;
    std::optional<v1::HeuristicRecord> heuristic;
    std::uint64_t ended = 0;  // a sequence
    std::optional<std::pair<std::string, std::uint32_t>> taken_over;
    Done done;
  };

  void Add(Write write);
  void StartSync();
  void FinishSync();
  void Fail();
  void MakeDurable(const Write& write);
  void Lookup(std::optional<std::uint64_t> sequence, FindDone done);

  Disk& disk_;
  EventQueue& queue_;
  Random& random_;
  const Faults& faults_;
  Judge& judge_;
  const ProcessPtr process_;
  LogStart start_;
  std::uint64_t last_sequence_;
  std::deque<Write> waiting_;
  std::deque<Write> group_;  // being synced
};

}  // namespace assent::simulation
