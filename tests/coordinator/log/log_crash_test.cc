#include <gtest/gtest.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <random>
#include <set>
#include <thread>

#include "tests/coordinator/log/crash_file_system.h"
#include "tests/coordinator/log/log_testing.h"

// The log over a file system that loses what was not synced.
namespace assent {
namespace {

class LogCrashTest : public testing::Test {
 protected:
  LogCrashTest() {
    options_.env = env_.get();
    options_.write_buffer_bytes = 64 << 10;  // tables and new write-ahead logs come often
    options_.max_wal_bytes = 256 << 10;
    options_.sequence_reservation = 1000;
  }

  // Opens what a power cut left, on a file system that works.
  std::unique_ptr<DecisionLog> OpenLeftover(const std::string& path) {
    DecisionLogOptions options = options_;
    options.data_dir = path;
    options.env = nullptr;
    return OpenOrDie(options);
  }

  ScratchFolder folder_;
  std::shared_ptr<CrashFileSystem> system_ = std::make_shared<CrashFileSystem>();
  std::unique_ptr<rocksdb::Env> env_ = rocksdb::NewCompositeEnv(system_);
  DecisionLogOptions options_ = MakeOptions(folder_ / "data");
};

TEST_F(LogCrashTest, AnAcknowledgedDecisionSurvivesAPowerCutAtOnce) {
  std::mt19937 random(1);
  const auto log = OpenOrDie(options_);
  for (std::size_t i = 0; i < 50 / kStride; ++i) {
    const TxnId txn = MakeTxn(*log, log->NextSequence());
    DecideAndWait(*log, MakeCommit(txn, "order-" + std::to_string(i)));
    const std::string left = folder_ / ("left-" + std::to_string(i));
    system_->Snapshot(options_.data_dir, left, random);
    const auto leftover = OpenLeftover(left);
    ASSERT_TRUE(FindTransaction(*leftover, txn).has_value());
    ASSERT_EQ(leftover->start().unfinished.size(), i + 1);
    ASSERT_GE(leftover->start().reserved_sequences, txn.sequence);
    ASSERT_EQ(leftover->start().epoch, 2u);
  }
}

// One thread decides and ends as fast as it can; the power is cut at random moments.
class Load {
 public:
  explicit Load(DecisionLog& log) : log_(log), thread_([this] { Run(); }) {}
  ~Load() {
    stop_ = true;
    thread_.join();
    log_.Drain();  // decisions, which append their ends
    log_.Drain();  // ends
  }

  // Goes on until this many decisions are submitted.
  void GoTo(int submitted) { limit_ = submitted; }

  int submitted() const { return submitted_; }        // decisions 0 … submitted - 1 may be in the log
  int acknowledged() const { return acknowledged_; }  // decisions 0 … acknowledged - 1 are in the log
  std::set<std::uint64_t> ended() const {             // durably
    const std::lock_guard lock(mutex_);
    return ended_;
  }

 private:
  void Run() {
    std::mt19937 random(7);
    while (!stop_) {
      if (submitted_ >= limit_ || submitted_ - acknowledged_ >= 64) {
        std::this_thread::yield();
        continue;
      }
      const TxnId txn = MakeTxn(log_, log_.NextSequence());
      v1::DecisionRecord decision = MakeCommit(txn, "order-" + std::to_string(submitted_));
      // Some over several sectors and blocks.
      decision.mutable_branches(0)->mutable_token()->append(random() % 20 == 0 ? random() % 40000 : random() % 300,
                                                            'x');
      ++submitted_;
      const bool end = random() % 2 == 0;
      log_.Decide(decision, [this, txn, end] {
        ++acknowledged_;
        if (!end) return;
        log_.End(txn, [this, txn] {
          const std::lock_guard lock(mutex_);
          ended_.insert(txn.sequence);
        });
      });
    }
  }

  DecisionLog& log_;
  mutable std::mutex mutex_;
  std::set<std::uint64_t> ended_;
  std::atomic<int> limit_ = 0;
  std::atomic<int> submitted_ = 0;
  std::atomic<int> acknowledged_ = 0;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

TEST_F(LogCrashTest, APowerCutAtAnyMomentLeavesAPrefixWithEverythingThatWasAcknowledged) {
  constexpr std::size_t kCuts = 30 / kStride;
  const unsigned seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const auto log = OpenOrDie(options_);
  const std::string mark_at_start = ReadFile(options_.data_dir + "/synced");
  const std::uint32_t epoch = log->start().epoch;
  Load load(*log);
  int torn = 0;
  for (std::size_t cut = 0; cut < kCuts; ++cut) {
    // In the middle of it: the load goes on behind that moment, but not for ever.
    const int moment = load.submitted() + static_cast<int>(random() % 300);
    load.GoTo(moment + 100);
    while (load.submitted() < moment) std::this_thread::yield();

    const std::string left = folder_ / ("left-" + std::to_string(cut));
    const std::set<std::uint64_t> ended = load.ended();
    const int acknowledged = load.acknowledged();
    system_->Snapshot(options_.data_dir, left, random);
    const int submitted = load.submitted();
    // The mark is not synced: after a power cut it may be any earlier one.
    if (random() % 2 == 0) WriteFile(left + "/synced", mark_at_start);

    auto leftover = OpenLeftover(left);
    int found = 0;
    while (FindRequest(*leftover, "order-" + std::to_string(found)).has_value()) ++found;
    ASSERT_GE(found, acknowledged) << "cut " << cut;
    ASSERT_LE(found, submitted) << "cut " << cut;
    torn += found < submitted;
    // A prefix: nothing behind the first that is missing.
    for (int i = found; i < submitted; ++i) {
      ASSERT_FALSE(FindRequest(*leftover, "order-" + std::to_string(i)).has_value()) << "cut " << cut << ", " << i;
    }
    std::uint64_t last = 0;
    for (const v1::DecisionRecord& decision : leftover->start().unfinished) {
      last = ParseTxnId(decision.txn_id())->sequence;
      ASSERT_FALSE(ended.contains(last)) << "cut " << cut;
    }
    ASSERT_GE(leftover->start().reserved_sequences, last);
    ASSERT_EQ(leftover->start().epoch, epoch + 1);
    leftover.reset();
    std::filesystem::remove_all(left);
  }
  EXPECT_GT(torn, 0);
}

TEST_F(LogCrashTest, ALogThatWasCutManyTimesKeepsEverything) {
  std::mt19937 random(3);
  std::string path = options_.data_dir;
  std::vector<TxnId> decided;
  Completions lost;
  for (std::size_t life = 0; life < 12 / kStride + 2; ++life) {
    DecisionLogOptions options = options_;
    options.data_dir = path;
    const auto log = OpenOrDie(options);
    ASSERT_EQ(log->start().epoch, life + 1);
    for (const TxnId& txn : decided) ASSERT_TRUE(FindTransaction(*log, txn).has_value());
    for (int i = 0; i < 40; ++i) {
      const TxnId txn = MakeTxn(*log, log->NextSequence());
      ASSERT_TRUE(decided.empty() || txn.sequence > decided.back().sequence);
      DecideAndWait(*log, MakeCommit(txn));
      decided.push_back(txn);
    }
    log->Decide(MakeCommit(MakeTxn(*log, log->NextSequence())), lost.One());
    path = folder_ / ("life-" + std::to_string(life));
    system_->Snapshot(options.data_dir, path, random);
  }
}

TEST_F(LogCrashTest, OneSyncCarriesEverythingThatQueuedMeanwhile) {
  const auto log = OpenOrDie(options_);
  const std::uint64_t before = system_->wal_syncs();
  Completions decided;
  // From within a completion: the log's thread is busy, and all of these queue.
  log->Decide(MakeCommit(MakeTxn(*log, log->NextSequence())), [&] {
    for (int i = 0; i < 100; ++i) log->Decide(MakeCommit(MakeTxn(*log, log->NextSequence())), decided.One());
  });
  decided.WaitFor(100);
  EXPECT_EQ(system_->wal_syncs() - before, 2u);
}

// Whichever of the two fails.
class LogFailureTest : public LogCrashTest, public testing::WithParamInterface<bool> {};

TEST_P(LogFailureTest, AFailureIsReportedOnceAndNothingCompletesAnyMore) {
  Completions failed;
  std::string message;
  options_.on_failure = [&, report = std::make_shared<DecisionLog::Done>(failed.One())](const absl::Status& status) {
    message = std::string(status.message());
    (*report)();
  };
  const auto log = OpenOrDie(options_);
  DecideAndWait(*log, MakeCommit(MakeTxn(*log, log->NextSequence())));
  GetParam() ? system_->FailSyncs() : system_->FailWrites();
  Completions decided;
  log->Decide(MakeCommit(MakeTxn(*log, log->NextSequence())), decided.One());
  failed.WaitFor(1);
  EXPECT_NE(message.find(options_.data_dir), std::string::npos) << message;
  log->Decide(MakeCommit(MakeTxn(*log, log->NextSequence())), decided.One());
  log->Drain();
  EXPECT_EQ(decided.count(), 0);
  EXPECT_EQ(failed.count(), 1);
}

INSTANTIATE_TEST_SUITE_P(WriteOrSync, LogFailureTest, testing::Bool());

TEST_F(LogCrashTest, NoSequenceIsGivenOutBeforeItsReservationIsDurable) {
  const ScratchForDeathTests scratch(folder_);
  options_.sequence_reservation = 100;
  options_.on_failure = [](const absl::Status&) {};
  EXPECT_EXIT(
      {
        const auto log = OpenOrDie(options_);
        system_->FailSyncs();
        for (int i = 0; i < 100; ++i) log->NextSequence();
        log->Drain();
        std::fprintf(stderr, "100 were given out\n");
        log->NextSequence();
      },
      testing::KilledBySignal(SIGABRT), "100 were given out(.|\n)*sequence_reservation");
}

TEST_F(LogCrashTest, ByDefaultAFailingWriteEndsTheProcess) {
  const ScratchForDeathTests scratch(folder_);
  EXPECT_EXIT(
      {
        const auto log = OpenOrDie(options_);
        system_->FailWrites();
        DecideAndWait(*log, MakeCommit(MakeTxn(*log, log->NextSequence())));
      },
      testing::ExitedWithCode(EXIT_FAILURE), "this disk is full");
}

}  // namespace
}  // namespace assent
