#include "cli/words.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/protocol/transition.h"

namespace assent::cli {
namespace {

using testing::HasSubstr;

const absl::Time kNow = absl::FromUnixSeconds(1'790'000'000);

void SetSeconds(absl::Time time, google::protobuf::Timestamp& proto) { proto.set_seconds(absl::ToUnixSeconds(time)); }

TEST(WordsTest, AgesHaveAtMostTwoUnits) {
  EXPECT_EQ(AgeText(-absl::Seconds(1)), "0s") << "another machine's clock may be ahead";
  EXPECT_EQ(AgeText(absl::Milliseconds(850)), "850ms");
  EXPECT_EQ(AgeText(absl::Seconds(59.9)), "59s");
  EXPECT_EQ(AgeText(absl::Seconds(192)), "3m 12s");
  EXPECT_EQ(AgeText(absl::Minutes(125)), "2h 05m");
  EXPECT_EQ(AgeText(absl::Hours(76)), "3d 04h");
}

TEST(WordsTest, EveryStateOfTheApiHasANameThatIsReadBack) {
  for (int number = v1::TransactionState_MIN + 1; number <= v1::TransactionState_MAX; ++number) {
    const auto state = static_cast<v1::TransactionState>(number);
    EXPECT_EQ(ParseState(NameOf(state)), state) << number;
  }
  EXPECT_EQ(ParseState("commiting"), std::nullopt);
}

TEST(WordsTest, EveryPhaseOfABranchHasANextStep) {
  v1::TransactionDescription transaction;
  for (int number = 0; number <= static_cast<int>(protocol::BranchPhase::kHeuristic); ++number) {
    v1::BranchDescription branch;
    branch.set_state(std::string(protocol::Name(static_cast<protocol::BranchPhase>(number))));
    const std::string next = NextOf(transaction, branch, kNow);
    EXPECT_FALSE(next.empty()) << branch.state();
    EXPECT_THAT(next, testing::Not(HasSubstr("newer than the tool"))) << branch.state();
  }
}

TEST(WordsTest, ARetryTellsWhenAndWhichAttemptItIs) {
  v1::TransactionDescription transaction;
  v1::BranchDescription branch;
  branch.set_state("committing");
  EXPECT_THAT(NextOf(transaction, branch, kNow), HasSubstr("as soon as its participant can be asked"));
  branch.set_attempts(4);
  EXPECT_EQ(NextOf(transaction, branch, kNow), "commit is under way (attempt 4)");
  SetSeconds(kNow + absl::Seconds(3), *branch.mutable_next_attempt());
  EXPECT_THAT(NextOf(transaction, branch, kNow), HasSubstr("commit is tried again in 3s (attempt 5)"));
}

TEST(WordsTest, UndecidedWorkTellsItsDeadline) {
  v1::TransactionDescription transaction;
  SetSeconds(kNow + absl::Seconds(12), *transaction.mutable_deadline());
  v1::BranchDescription branch;
  branch.set_state("preparing");
  EXPECT_EQ(NextOf(transaction, branch, kNow), "its vote; aborted at the deadline, in 12s");
  EXPECT_THAT(NextOf(transaction, branch, kNow + absl::Seconds(13)), HasSubstr("has passed"));
}

TEST(WordsTest, WhatEndsWhatIsLeftAloneDependsOnWhereItIs) {
  EXPECT_THAT(WhyLeftAlone("database"), HasSubstr("assent resolve --force"));
  EXPECT_THAT(WhyLeftAlone("broker"), HasSubstr("kafka-transactions.sh ends it, and can only abort"));
}

TEST(WordsTest, TheBranchThatHasWaitedLongestIsTheOneToLookAt) {
  v1::TransactionDescription transaction;
  EXPECT_EQ(LongestWaiting(transaction), nullptr);
  SetSeconds(kNow, *transaction.add_branches()->mutable_since());
  SetSeconds(kNow - absl::Hours(1), *transaction.add_branches()->mutable_since());
  transaction.add_branches();
  EXPECT_EQ(LongestWaiting(transaction), &transaction.branches(1));
}

}  // namespace
}  // namespace assent::cli
