#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/log/decision_log.h"

namespace assent {

// A decision log in memory. Writes wait until the test syncs them, as those of a disk do.
class FakeLog final : public DecisionLog {
 public:
  explicit FakeLog(LogStart start)
      : taken_over(start.taken_over), start_(std::move(start)), last_sequence_(start_.reserved_sequences) {}

  // What a later process would find. The next epoch.
  LogStart Reopened() const {
    LogStart next{
        .coordinator = start_.coordinator, .epoch = start_.epoch + 1, .reserved_sequences = last_sequence_ + 1000};
    next.taken_over = taken_over;
    for (const auto& [sequence, record] : durable_) {
      if (record.outcome() == v1::COMMITTED && !ended_.contains(sequence)) next.unfinished.push_back(record);
    }
    return next;
  }
  void CopyDurableTo(FakeLog& later) const {
    later.durable_ = durable_;
    later.ended_ = ended_;
    later.heuristics = heuristics;
  }

  // Makes everything written so far durable, and says so.
  void Sync() {
    auto writes = std::exchange(writes_, {});
    for (auto& write : writes) write();
  }
  bool sync_at_once = true;
  bool lookups_full = false;

  const LogStart& start() const override { return start_; }

  void Decide(const v1::DecisionRecord& decision, Done done) override {
    Write([this, decision, done = std::move(done)]() mutable {
      const auto [entry, is_new] = durable_.emplace(ParseTxnId(decision.txn_id())->sequence, decision);
      decided_twice |= !is_new;
      done();
    });
  }
  void End(const TxnId& txn, Done done) override {
    Write([this, txn, done = std::move(done)]() mutable {
      ended_.insert(txn.sequence);
      if (done) done();
    });
  }
  void RecordTakeOver(const std::string& participant, std::uint32_t epoch, Done done) override {
    Write([this, participant, epoch, done = std::move(done)]() mutable {
      taken_over[participant] = epoch;
      done();
    });
  }
  void RecordHeuristic(const v1::HeuristicRecord& heuristic, Done done) override {
    Write([this, heuristic, done = std::move(done)]() mutable {
      heuristics.push_back(heuristic);
      done();
    });
  }
  std::uint64_t NextSequence() override { return ++last_sequence_; }
  std::uint64_t last_sequence() const override { return last_sequence_; }
  bool RequestMayExist(std::string_view request_id) const override {
    return lookups_full || Find(request_id) != nullptr;
  }
  void FindTransaction(const TxnId& txn, FindDone done) override {
    if (lookups_full) return done(absl::UnavailableError("too many look-ups"));
    const auto found = durable_.find(txn.sequence);
    if (found == durable_.end()) return done(OfAuditTrail(txn));
    done(LoggedOutcome{found->second, ended_.contains(txn.sequence), HeuristicsOf(found->second.txn_id())});
  }
  void FindRequest(std::string_view request_id, FindDone done) override {
    if (lookups_full) return done(absl::UnavailableError("too many look-ups"));
    const v1::DecisionRecord* found = Find(request_id);
    if (found == nullptr) return done(std::nullopt);
    done(LoggedOutcome{*found, false, HeuristicsOf(found->txn_id())});
  }
  void ListAudit(std::string after, std::size_t limit, AuditDone done) override {
    AuditPage page;
    std::size_t i = after.empty() ? 0 : std::stoul(after);
    for (; i < heuristics.size() && page.records.size() < limit; ++i) page.records.push_back(heuristics[i]);
    if (i < heuristics.size()) page.last_key = std::to_string(i);
    done(std::move(page));
  }
  void Drain() override {}
  std::uint64_t forgotten_before() const override { return forgotten; }
  absl::Time requests_forgotten_before() const override { return requests_forgotten; }

  const std::map<std::uint64_t, v1::DecisionRecord>& durable() const { return durable_; }
  const std::set<std::uint64_t>& ended() const { return ended_; }

  std::vector<v1::HeuristicRecord> heuristics;
  bool decided_twice = false;
  absl::flat_hash_map<std::string, std::uint32_t> taken_over;
  std::uint64_t forgotten = 0;
  absl::Time requests_forgotten = absl::InfinitePast();

 private:
  void Write(absl::AnyInvocable<void()> write) {
    writes_.push_back(std::move(write));
    if (sync_at_once) Sync();
  }
  std::vector<v1::HeuristicRecord> HeuristicsOf(const std::string& txn_id) const {
    std::vector<v1::HeuristicRecord> found;
    for (const v1::HeuristicRecord& record : heuristics) {
      if (record.txn_id() == txn_id) found.push_back(record);
    }
    return found;
  }
  std::optional<LoggedOutcome> OfAuditTrail(const TxnId& txn) const {
    LoggedOutcome found{.ended = true, .heuristics = HeuristicsOf(txn.ToString())};
    const v1::Outcome decided = found.heuristics.empty() ? v1::UNDECIDED : found.heuristics[0].decided();
    if (decided != v1::COMMITTED && decided != v1::ABORTED) return std::nullopt;
    found.decision.set_txn_id(txn.ToString());
    found.decision.set_outcome(decided);
    return found;
  }
  const v1::DecisionRecord* Find(std::string_view request_id) const {
    for (const auto& [sequence, record] : durable_) {
      if (record.request_id() == request_id) return &record;
    }
    return nullptr;
  }

  LogStart start_;
  std::uint64_t last_sequence_;
  std::deque<absl::AnyInvocable<void()>> writes_;
  std::map<std::uint64_t, v1::DecisionRecord> durable_;
  std::set<std::uint64_t> ended_;
};

}  // namespace assent
