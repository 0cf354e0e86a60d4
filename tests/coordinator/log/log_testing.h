#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "coordinator/log/rocksdb_decision_log.h"

namespace assent {

// Sweeps try every so-manieth case: each takes ten times as long under a sanitizer.
#ifdef ASSENT_SANITIZED
inline constexpr std::size_t kStride = 5;
#else
inline constexpr std::size_t kStride = 1;
#endif

// A folder under the machine's temporary one, removed with everything in it when the test ends.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "assent-log-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~ScratchFolder() { std::filesystem::remove_all(path_); }

  std::string path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// While it lives, the scratch folders of death tests, which begin anew in a process of their own and never end them,
// are made within this test's, and removed with it.
class ScratchForDeathTests {
 public:
  explicit ScratchForDeathTests(const ScratchFolder& folder) : before_(std::filesystem::temp_directory_path()) {
    testing::GTEST_FLAG(death_test_style) = "threadsafe";
    ::setenv("TMPDIR", folder.path().c_str(), 1);
  }
  ~ScratchForDeathTests() { ::setenv("TMPDIR", before_.c_str(), 1); }

 private:
  const std::string before_;
};

// Both clocks as the test sets them. Thread-safe.
class FakeClock : public Clock {
 public:
  absl::Time Now() const override {
    const std::lock_guard lock(mutex_);
    return now_;
  }
  absl::Duration Monotonic() const override {
    const std::lock_guard lock(mutex_);
    return monotonic_;
  }

  void Pass(absl::Duration time) {
    const std::lock_guard lock(mutex_);
    now_ += time;
    monotonic_ += time;
  }
  void SetWallClock(absl::Duration ahead_of_now) {
    const std::lock_guard lock(mutex_);
    now_ += ahead_of_now;
  }

 private:
  mutable std::mutex mutex_;
  absl::Time now_ = absl::FromUnixSeconds(1'790'000'000);
  absl::Duration monotonic_ = absl::Hours(1);
};

// Counts completions, and lets a test wait for them.
class Completions {
 public:
  DecisionLog::Done One() {
    return [this] {
      const std::lock_guard lock(mutex_);
      ++count_;
      changed_.notify_all();
    };
  }
  // Also remembers which.
  DecisionLog::Done One(int number) {
    return [this, number] {
      const std::lock_guard lock(mutex_);
      ++count_;
      order_.push_back(number);
      changed_.notify_all();
    };
  }

  void WaitFor(int count) {
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(changed_.wait_for(lock, std::chrono::seconds(60), [&] { return count_ >= count; }))
        << "only " << count_ << " of " << count << " completions ran";
  }
  int count() const {
    const std::lock_guard lock(mutex_);
    return count_;
  }
  std::vector<int> order() const {
    const std::lock_guard lock(mutex_);
    return order_;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  int count_ = 0;
  std::vector<int> order_;
};

// What Find… answers, waited for.
template <typename Call>
absl::StatusOr<std::optional<LoggedOutcome>> Wait(Call call) {
  std::mutex mutex;
  std::condition_variable changed;
  std::optional<absl::StatusOr<std::optional<LoggedOutcome>>> answer;
  call([&](auto found) {
    const std::lock_guard lock(mutex);
    answer = std::move(found);
    changed.notify_all();
  });
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return answer.has_value(); });
  return *std::move(answer);
}

inline std::optional<LoggedOutcome> FindTransaction(DecisionLog& log, const TxnId& txn) {
  return Wait([&](auto done) { log.FindTransaction(txn, std::move(done)); }).value();
}

inline std::optional<LoggedOutcome> FindRequest(DecisionLog& log, std::string_view request_id) {
  return Wait([&](auto done) { log.FindRequest(request_id, std::move(done)); }).value();
}

inline TxnId MakeTxn(const DecisionLog& log, std::uint64_t sequence) {
  return {.coordinator = log.start().coordinator, .epoch = log.start().epoch, .shard = 0, .sequence = sequence};
}

// A decision to commit with one branch, to be ended.
inline v1::DecisionRecord MakeCommit(const TxnId& txn, const std::string& request_id = "") {
  v1::DecisionRecord decision;
  decision.set_txn_id(txn.ToString());
  decision.set_outcome(v1::COMMITTED);
  decision.set_request_id(request_id);
  decision.set_decided_at_us(1'790'000'000'000'000);
  v1::BranchRecord& branch = *decision.add_branches();
  branch.set_branch("stock");
  branch.set_participant("orders-db");
  branch.set_token("token of " + txn.ToString());
  return decision;
}

inline v1::DecisionRecord MakeAbort(const TxnId& txn, const std::string& request_id = "") {
  v1::DecisionRecord decision;
  decision.set_txn_id(txn.ToString());
  decision.set_outcome(v1::ABORTED);
  decision.set_request_id(request_id);
  decision.set_decided_at_us(1'790'000'000'000'000);
  decision.mutable_failure()->set_reason("out of stock");
  return decision;
}

inline void DecideAndWait(DecisionLog& log, const v1::DecisionRecord& decision) {
  Completions completions;
  log.Decide(decision, completions.One());
  completions.WaitFor(1);
}

inline void EndAndWait(DecisionLog& log, const TxnId& txn) {
  Completions completions;
  log.End(txn, completions.One());
  completions.WaitFor(1);
}

// Opens the log of "orders"; fails the test where that fails.
inline std::unique_ptr<DecisionLog> OpenOrDie(const DecisionLogOptions& options) {
  absl::StatusOr<std::unique_ptr<DecisionLog>> log = OpenDecisionLog(options);
  if (!log.ok()) {
    ADD_FAILURE() << log.status();
    std::abort();
  }
  return *std::move(log);
}

inline DecisionLogOptions MakeOptions(const std::string& data_dir) {
  DecisionLogOptions options;
  options.data_dir = data_dir;
  options.coordinator = "orders";
  return options;
}

// Every file of a folder with its bytes: to see whether something has changed anything.
inline std::map<std::string, std::string> Contents(const std::string& folder) {
  std::map<std::string, std::string> contents;
  if (!std::filesystem::exists(folder)) return contents;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    std::string& bytes = contents[entry.path().string()];
    if (!entry.is_regular_file()) continue;
    std::ifstream file(entry.path(), std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    bytes = text.str();
  }
  return contents;
}

inline std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

inline void WriteFile(const std::string& path, const std::string& bytes) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << bytes;
}

}  // namespace assent
