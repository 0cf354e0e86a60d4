#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <thread>

#include "coordinator/log/log_database.h"
#include "coordinator/log/outcome_pruner.h"
#include "tests/coordinator/log/log_testing.h"

namespace assent {
namespace {

// The steps of the pruning, one by one.
class OutcomePrunerTest : public testing::Test {
 protected:
  // Writes the outcome of transaction `sequence`, decided at these times.
  void Put(std::uint64_t sequence, absl::Time decided_at, absl::Duration uptime, const std::string& request_id = "",
           bool active = false) {
    const TxnId txn{{"orders", 1}, 1, 0, sequence};
    v1::DecisionRecord decision = MakeCommit(txn, request_id);
    decision.set_decided_at_us(absl::ToUnixMicros(decided_at));
    const std::string key = log_format::EncodeUint64(sequence);
    const std::string outcome =
        log_format::EncodeOutcome(static_cast<std::uint64_t>(absl::ToInt64Microseconds(uptime)), decision);
    rocksdb::WriteBatch batch;
    batch.Put(database_->family(log_format::kOutcomes), key, outcome);
    if (active) batch.Put(database_->family(log_format::kActive), key, decision.SerializeAsString());
    if (!request_id.empty()) batch.Put(database_->family(log_format::kRequests), request_id, key);
    ASSERT_TRUE(database_->Write(batch).ok());
    bytes_ += key.size() + outcome.size() + (request_id.empty() ? 0 : request_id.size() + key.size());
  }

  PrunePlan Plan(absl::Time now, absl::Duration uptime) {
    const auto plan = pruner_.Plan(now, static_cast<std::uint64_t>(absl::ToInt64Microseconds(uptime)), bytes_);
    EXPECT_TRUE(plan.ok()) << plan.status();
    return *plan;
  }

  void Write(const PrunePlan& plan) {
    rocksdb::WriteBatch batch;
    plan.AppendTo(batch, *database_);
    ASSERT_TRUE(database_->Write(batch).ok());
    bytes_ -= plan.bytes;
  }

  using Sequences = std::vector<std::uint64_t>;

  const absl::Time day_ = absl::FromUnixSeconds(1'790'000'000);
  ScratchFolder folder_;
  std::unique_ptr<LogDatabase> database_ = *LogDatabase::Create(
      {.path = folder_ / "log", .max_wal_bytes = 1 << 20, .write_buffer_bytes = 1 << 20, .block_cache_bytes = 1 << 20});
  OutcomePruner pruner_{{.outcome_retention = absl::Hours(24), .max_outcome_bytes = 10'000, .max_pruned_per_step = 3},
                        *database_};
  std::uint64_t bytes_ = 0;
};

TEST_F(OutcomePrunerTest, WhatIsOldByBothClocksGoes) {
  Put(1, day_, absl::Hours(1), "order-1");
  Put(2, day_ + absl::Hours(1), absl::Hours(2), "order-2");
  const PrunePlan plan = Plan(day_ + absl::Hours(24), absl::Hours(25));
  EXPECT_EQ(plan.sequences, Sequences{1});
  EXPECT_EQ(plan.request_ids, std::vector<std::string>{"order-1"});
  EXPECT_EQ(plan.forgotten_before, 2u);
  EXPECT_EQ(plan.requests_forgotten_before_us, absl::ToUnixMicros(day_) + 1);
  EXPECT_FALSE(plan.more);
}

TEST_F(OutcomePrunerTest, AWallClockThatJumpsMakesNothingOld) {
  Put(1, day_, absl::Hours(1));
  EXPECT_TRUE(Plan(day_ + absl::Hours(24 * 365), absl::Hours(2)).sequences.empty());
}

TEST_F(OutcomePrunerTest, UptimeAloneMakesNothingOld) {
  Put(1, day_, absl::Hours(1));
  EXPECT_TRUE(Plan(day_ + absl::Hours(2), absl::Hours(1000)).sequences.empty());
}

TEST_F(OutcomePrunerTest, BeyondTheBoundOnBytesTheOldestGoAtAnyAge) {
  for (std::uint64_t sequence = 1; bytes_ <= 10'000; ++sequence) Put(sequence, day_, absl::Hours(1));
  const PrunePlan plan = Plan(day_, absl::Hours(1));
  EXPECT_EQ(plan.sequences, Sequences{1});
  Write(plan);
  EXPECT_TRUE(Plan(day_, absl::Hours(1)).sequences.empty());
}

TEST_F(OutcomePrunerTest, WhatHasNotEndedStaysAndTheOthersGo) {
  Put(1, day_, absl::Hours(1), "order-1", true);
  Put(2, day_, absl::Hours(1), "order-2");
  const PrunePlan plan = Plan(day_ + absl::Hours(24), absl::Hours(25));
  EXPECT_EQ(plan.sequences, Sequences{2});
  EXPECT_EQ(plan.forgotten_before, 3u);
  Write(plan);
  // It has ended meanwhile, and the search begins at the front again after a while.
  rocksdb::WriteBatch batch;
  batch.Delete(database_->family(log_format::kActive), log_format::EncodeUint64(1));
  ASSERT_TRUE(database_->Write(batch).ok());
  EXPECT_EQ(Plan(day_ + absl::Hours(26), absl::Hours(27)).sequences, Sequences{1});
}

TEST_F(OutcomePrunerTest, AStepIsBounded) {
  for (std::uint64_t sequence = 1; sequence <= 7; ++sequence) Put(sequence, day_, absl::Hours(1));
  std::vector<Sequences> steps;
  for (bool more = true; more;) {
    const PrunePlan plan = Plan(day_ + absl::Hours(24), absl::Hours(25));
    steps.push_back(plan.sequences);
    more = plan.more;
    Write(plan);
  }
  EXPECT_EQ(steps, (std::vector<Sequences>{{1, 2, 3}, {4, 5, 6}, {7}}));
}

TEST_F(OutcomePrunerTest, ARequestOfALaterTransactionStays) {
  Put(1, day_, absl::Hours(1), "order-1");
  Put(2, day_ + absl::Hours(2), absl::Hours(3), "order-1");
  const PrunePlan plan = Plan(day_ + absl::Hours(24), absl::Hours(25));
  EXPECT_EQ(plan.sequences, Sequences{1});
  EXPECT_TRUE(plan.request_ids.empty());
}

TEST_F(OutcomePrunerTest, ADecisionOfTheFutureBarsNoRequestOfThePresent) {
  // The wall clock was a year ahead when these were decided; now it is right again, and the log is too large.
  const absl::Time wrong = day_ + absl::Hours(24 * 365);
  for (int i = 1; bytes_ <= 10'000; ++i) Put(static_cast<std::uint64_t>(i), wrong, absl::Hours(1), std::to_string(i));
  EXPECT_EQ(Plan(day_, absl::Hours(2)).requests_forgotten_before_us, absl::ToUnixMicros(day_) + 1);
}

// The whole log, over restarts.
class OutcomePruningTest : public testing::Test {
 protected:
  OutcomePruningTest() {
    options_.clock = &clock_;
    options_.prune_interval = absl::Milliseconds(1);
  }

  std::unique_ptr<DecisionLog> Open() { return OpenOrDie(options_); }

  TxnId Decide(DecisionLog& log, const std::string& request_id) {
    TxnId txn = MakeTxn(log, log.NextSequence());
    v1::DecisionRecord decision = MakeAbort(txn, request_id);
    decision.set_decided_at_us(absl::ToUnixMicros(clock_.Now()));
    DecideAndWait(log, decision);
    return txn;
  }

  // Waits until the log has forgotten the transaction.
  void WaitUntilForgotten(DecisionLog& log, const TxnId& txn) {
    ASSERT_TRUE(Eventually([&] { return !FindTransaction(log, txn).has_value(); }));
    EXPECT_GT(log.forgotten_before(), txn.sequence);
  }

  // Until it is so, for a minute at most.
  static bool Eventually(const std::function<bool()>& is_so) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (!is_so()) {
      if (std::chrono::steady_clock::now() > end) return false;
      std::this_thread::yield();
    }
    return true;
  }

  FakeClock clock_;
  ScratchFolder folder_;
  DecisionLogOptions options_ = MakeOptions(folder_ / "data");
};

TEST_F(OutcomePruningTest, AnOldOutcomeIsForgottenWithItsRequest) {
  const auto log = Open();
  const absl::Time decided_at = clock_.Now();
  const TxnId old = Decide(*log, "old");
  clock_.Pass(absl::Hours(23));
  const TxnId young = Decide(*log, "young");
  EXPECT_EQ(log->requests_forgotten_before(), absl::InfinitePast());
  clock_.Pass(absl::Hours(1));
  WaitUntilForgotten(*log, old);
  EXPECT_FALSE(FindRequest(*log, "old").has_value());
  EXPECT_TRUE(FindRequest(*log, "young").has_value());
  EXPECT_EQ(log->forgotten_before(), old.sequence + 1);
  EXPECT_GT(log->requests_forgotten_before(), decided_at);
  EXPECT_LT(log->requests_forgotten_before(), decided_at + absl::Seconds(1));
}

TEST_F(OutcomePruningTest, WhatIsForgottenIsRememberedAcrossARestart) {
  std::uint64_t forgotten_before = 0;
  absl::Time requests_forgotten_before;
  {
    const auto log = Open();
    const TxnId old = Decide(*log, "old");
    clock_.Pass(absl::Hours(24));
    WaitUntilForgotten(*log, old);
    forgotten_before = log->forgotten_before();
    requests_forgotten_before = log->requests_forgotten_before();
  }
  const auto log = Open();
  EXPECT_EQ(log->forgotten_before(), forgotten_before);
  EXPECT_EQ(log->requests_forgotten_before(), requests_forgotten_before);
}

TEST_F(OutcomePruningTest, TimeInWhichNoProcessRanDoesNotCount) {
  TxnId first;
  {
    const auto log = Open();
    first = Decide(*log, "first");
    clock_.Pass(absl::Hours(10));
    Decide(*log, "second");  // with whose group ten hours are durable
  }
  clock_.Pass(absl::Hours(1000));
  const auto log = Open();
  // A marker that is pruned shows that steps have been made: it is old by both clocks as soon as the first is.
  clock_.Pass(absl::Hours(13));
  Decide(*log, "third");
  log->Drain();
  EXPECT_TRUE(FindRequest(*log, "first").has_value());
  clock_.Pass(absl::Hours(1));
  WaitUntilForgotten(*log, first);
  EXPECT_TRUE(FindRequest(*log, "second").has_value());
}

TEST_F(OutcomePruningTest, WhatTheOutcomesTakeIsRememberedAcrossARestart) {
  TxnId last;
  {
    const auto log = Open();
    for (int i = 0; i < 600; ++i) last = Decide(*log, "order-" + std::to_string(i));
  }
  options_.max_outcome_bytes = 20'000;
  const auto log = Open();
  const auto size = [&] {
    std::size_t bytes = 0;
    for (std::uint64_t sequence = 1; sequence <= last.sequence; ++sequence) {
      TxnId txn = last;
      txn.sequence = sequence;
      const auto found = FindTransaction(*log, txn);
      if (found) bytes += found->decision.ByteSizeLong();
    }
    return bytes;
  };
  ASSERT_TRUE(Eventually([&] { return size() <= options_.max_outcome_bytes; }));
  EXPECT_GT(log->forgotten_before(), 1u);
  EXPECT_TRUE(FindTransaction(*log, last).has_value());
  EXPECT_GT(size(), options_.max_outcome_bytes / 2);
}

}  // namespace
}  // namespace assent
