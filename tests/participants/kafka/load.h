#pragma once

#include <gtest/gtest.h>

#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/participants/kafka/participant_under_test.h"
#include "tests/participants/kafka/plain_kafka.h"

namespace assent::kafka {

// Does as an engine: decides to commit what votes yes, and repeats what is to be repeated.
class Load {
 public:
  static constexpr int kInFlight = 24;

  enum class Fate { kUndecided, kCommitting, kCommitted, kAborted };

  Load(ParticipantUnderTest& process, std::string topic, std::map<std::string, Fate>& fates)
      : process_(process), topic_(std::move(topic)), fates_(fates) {}

  void Start() {
    stopping_ = false;
    for (int i = 0; i < kInFlight; ++i) Next();
  }
  void Stop() { stopping_ = true; }
  // Commits what an earlier process has decided.
  void Resume(const std::string& value, const std::string& token) {
    ++running_;
    unfinished_tokens[value] = token;
    Finish(process_.NewBranch(), value, token, /*commit=*/true);
  }
  int running() const { return running_; }
  int committed() const { return committed_; }

  // What a log would have of the decided and unfinished.
  std::map<std::string, std::string> unfinished_tokens;

 private:
  void Next() {
    if (stopping_) return;
    ++running_;
    const BranchId branch = process_.Open(absl::Seconds(4));
    const std::string value = absl::StrCat("value-", process_.place().epoch, "-", branch.txn.sequence);
    fates_[value] = Fate::kUndecided;
    process_->Execute(branch, AnOperation({ARecord(topic_, value), ARecord(topic_, value + "/second")}),
                      [](ExecuteOutcome) {});
    process_->Prepare(branch, [this, branch, value](Vote vote) {
      if (vote.kind == Vote::Kind::kYes) {
        fates_[value] = Fate::kCommitting;
        unfinished_tokens[value] = vote.token;
        Finish(branch, value, vote.token, /*commit=*/true);
      } else {
        Finish(branch, value, vote.token, /*commit=*/false);
      }
    });
  }

  void Finish(const BranchId& branch, const std::string& value, const std::string& token, bool commit) {
    auto finished = [this, branch, value, token, commit](assent::Finish finish) {
      ASSERT_NE(finish.kind, Finish::Kind::kHeuristic) << finish.message;
      if (finish.kind == Finish::Kind::kRetry) {
        auto timer = std::make_shared<boost::asio::steady_timer>(process_.loop(), std::chrono::milliseconds(30));
        timer->async_wait([this, timer, branch, value, token, commit](const boost::system::error_code& error) {
          if (!error) Finish(branch, value, token, commit);
        });
        return;
      }
      fates_[value] = commit ? Fate::kCommitted : Fate::kAborted;
      committed_ += commit ? 1 : 0;
      unfinished_tokens.erase(value);
      process_->Forget(branch, token);
      --running_;
      process_.loop().post([this] { Next(); });
    };
    if (commit) {
      process_->Commit(branch, token, std::move(finished));
    } else {
      process_->Abort(branch, token, std::move(finished));
    }
  }

  ParticipantUnderTest& process_;
  const std::string topic_;
  std::map<std::string, Fate>& fates_;
  bool stopping_ = false;
  int running_ = 0;
  int committed_ = 0;
};

// What was committed is there once, and nothing else is. How many branches were committed.
inline int ExpectFates(const std::map<std::string, Load::Fate>& fates, const std::vector<ReadRecord>& records) {
  std::map<std::string, int> seen;
  for (const ReadRecord& record : records) ++seen[record.value.value_or("")];
  int committed = 0;
  for (const auto& [value, fate] : fates) {
    EXPECT_NE(fate, Load::Fate::kCommitting) << value << " has not ended";
    const int expected = fate == Load::Fate::kCommitted ? 1 : 0;
    committed += expected;
    EXPECT_EQ(seen[value], expected) << value;
    EXPECT_EQ(seen[value + "/second"], expected) << value;
  }
  EXPECT_EQ(records.size(), static_cast<std::size_t>(2 * committed));
  return committed;
}

}  // namespace assent::kafka
