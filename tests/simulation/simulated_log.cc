#include "tests/simulation/simulated_log.h"

#include <utility>

#include "base/mutant.h"

namespace assent::simulation {
namespace {

constexpr std::uint64_t kReservedAtOnce = 16;

}  // namespace

SimulatedLog::SimulatedLog(Disk& disk, EventQueue& queue, Random& random, const Faults& faults, Judge& judge,
                           ProcessPtr process)
    : disk_(disk),
      queue_(queue),
      random_(random),
      faults_(faults),
      judge_(judge),
      process_(std::move(process)),
      last_sequence_(disk.reserved_sequences) {
  if (!ASSENT_MUTANT(epoch_not_bumped) || disk_.epoch == 0) ++disk_.epoch;
  start_ = {.coordinator = disk_.coordinator, .epoch = disk_.epoch, .reserved_sequences = disk_.reserved_sequences};
  for (const auto& [sequence, decision] : disk_.decisions) {
    if (decision.outcome() == v1::COMMITTED && !disk_.ended.contains(sequence)) start_.unfinished.push_back(decision);
  }
  start_.taken_over.insert(disk_.taken_over.begin(), disk_.taken_over.end());
  if (ASSENT_MUTANT(request_forgotten_at_restart)) disk_.requests.clear();
}

SimulatedLog::~SimulatedLog() { Fail(); }

// ---- Writing --------------------------------------------------------------------------------------------------------

void SimulatedLog::Decide(const v1::DecisionRecord& decision, Done done) {
  Add({.decision = decision, .done = std::move(done)});
}

void SimulatedLog::End(const TxnId& txn, Done done) { Add({.ended = txn.sequence, .done = std::move(done)}); }

void SimulatedLog::RecordTakeOver(const std::string& participant, std::uint32_t epoch, Done done) {
  Add({.taken_over = std::pair(participant, epoch), .done = std::move(done)});
}

void SimulatedLog::RecordHeuristic(const v1::HeuristicRecord& heuristic, Done done) {
  Add({.heuristic = heuristic, .done = std::move(done)});
}

void SimulatedLog::Add(Write write) {
  if (!process_->MayAct()) return;
  if (ASSENT_MUTANT(acknowledged_before_synced) && write.done) std::exchange(write.done, [] {})();
  waiting_.push_back(std::move(write));
  if (group_.empty()) StartSync();
}

void SimulatedLog::StartSync() {
  group_ = std::exchange(waiting_, {});
  const absl::Duration longest = random_.OneIn(faults_.sync_slow) ? absl::Seconds(3) : absl::Milliseconds(2);
  queue_.After(random_.Between(absl::Microseconds(80), longest), [this, process = process_] {
    if (process->is_alive()) FinishSync();
  });
}

void SimulatedLog::FinishSync() {
  if (random_.OneIn(faults_.sync_fails)) return process_->Die();
  for (const Write& write : group_) MakeDurable(write);
  auto synced = std::make_shared<std::deque<Write>>(std::exchange(group_, {}));
  // Durable, and not acknowledged yet.
  queue_.After(random_.Between(absl::ZeroDuration(), absl::Microseconds(200)), [process = process_, synced] {
    for (Write& write : *synced) {
      if (process->is_alive() && write.done) write.done();
    }
  });
  if (!waiting_.empty()) StartSync();
}

void SimulatedLog::Fail() {
  for (Write& write : waiting_) group_.push_back(std::move(write));
  const std::uint64_t kept = random_.Below(group_.size() + 1);
  for (std::uint64_t i = 0; i < kept; ++i) MakeDurable(group_[i]);
}

void SimulatedLog::MakeDurable(const Write& write) {
  if (write.decision) {
    const std::uint64_t sequence = ParseTxnId(write.decision->txn_id())->sequence;
    judge_.Durable(*write.decision);
    disk_.decisions[sequence] = *write.decision;
    if (!write.decision->request_id().empty()) disk_.requests[write.decision->request_id()] = sequence;
  }
  if (write.heuristic) judge_.Heuristic(*write.heuristic);
  if (write.ended != 0) disk_.ended.insert(write.ended);
  if (write.taken_over) disk_.taken_over[write.taken_over->first] = write.taken_over->second;
}

// ---- Sequences and look-ups -----------------------------------------------------------------------------------------

std::uint64_t SimulatedLog::NextSequence() {
  if (last_sequence_ == disk_.reserved_sequences && process_->is_alive()) disk_.reserved_sequences += kReservedAtOnce;
  return ++last_sequence_;
}

bool SimulatedLog::RequestMayExist(std::string_view request_id) const {
  return disk_.requests.contains(std::string(request_id)) || random_.OneIn(20);  // a bloom filter errs
}

void SimulatedLog::FindTransaction(const TxnId& txn, FindDone done) { Lookup(txn.sequence, std::move(done)); }

void SimulatedLog::FindRequest(std::string_view request_id, FindDone done) {
  const auto found = disk_.requests.find(std::string(request_id));
  Lookup(found == disk_.requests.end() ? std::nullopt : std::optional(found->second), std::move(done));
}

void SimulatedLog::Lookup(std::optional<std::uint64_t> sequence, FindDone done) {
  if (random_.OneIn(faults_.lookup_refused)) return done(absl::UnavailableError("too many look-ups wait already"));
  std::optional<LoggedOutcome> found;
  if (const auto decision = disk_.decisions.find(sequence.value_or(0)); decision != disk_.decisions.end()) {
    found = LoggedOutcome{.decision = decision->second, .ended = disk_.ended.contains(decision->first)};
  }
  queue_.After(random_.Between(absl::Microseconds(10), absl::Milliseconds(5)),
               [process = process_, found = std::move(found), done = std::move(done)]() mutable {
                 if (process->is_alive()) done(std::move(found));
               });
}

}  // namespace assent::simulation
