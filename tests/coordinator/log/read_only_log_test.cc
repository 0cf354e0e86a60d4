#include "coordinator/log/read_only_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/coordinator/log/log_testing.h"

namespace assent {
namespace {

using testing::HasSubstr;

class ReadOnlyLogTest : public testing::Test {
 protected:
  ScratchFolder folder_;
  const std::string data_ = folder_ / "data";
};

TEST_F(ReadOnlyLogTest, ItTellsWhatAStartWouldFindAndChangesNothing) {
  TxnId unfinished;
  TxnId ended;
  {
    const auto log = OpenOrDie(MakeOptions(data_));
    unfinished = MakeTxn(*log, log->NextSequence());
    ended = MakeTxn(*log, log->NextSequence());
    DecideAndWait(*log, MakeCommit(unfinished, "order-1"));
    DecideAndWait(*log, MakeCommit(ended));
    EndAndWait(*log, ended);
  }
  const auto before = Contents(data_);
  {
    const auto log = OpenDecisionLogReadOnly(MakeOptions(data_));
    ASSERT_TRUE(log.ok()) << log.status();
    EXPECT_EQ((*log)->start().epoch, 2u) << "that of the next start, which this is not";
    EXPECT_GE((*log)->start().reserved_sequences, ended.sequence);
    ASSERT_EQ((*log)->start().unfinished.size(), 1u);
    EXPECT_EQ((*log)->start().unfinished[0].txn_id(), unfinished.ToString());
    EXPECT_FALSE((*log)->start().unfinished[0].branches(0).token().empty());
    EXPECT_TRUE(FindTransaction(**log, ended)->ended);
    EXPECT_EQ(FindRequest(**log, "order-1")->decision.txn_id(), unfinished.ToString());
    EXPECT_FALSE(FindTransaction(**log, MakeTxn(**log, 99)).has_value());
  }
  EXPECT_TRUE(Contents(data_) == before);
  EXPECT_EQ(OpenOrDie(MakeOptions(data_))->start().epoch, 2u);
}

// As a killed process leaves it: with the space ahead that closing would have cut off.
TEST_F(ReadOnlyLogTest, ALogThatWasNotClosedIsReadWhole) {
  const std::string copy = folder_ / "copy";
  TxnId txn;
  {
    const auto log = OpenOrDie(MakeOptions(data_));
    txn = MakeTxn(*log, log->NextSequence());
    DecideAndWait(*log, MakeCommit(txn));
    std::filesystem::copy(data_, copy, std::filesystem::copy_options::recursive);
  }
  const auto before = Contents(copy);
  {
    const auto log = OpenDecisionLogReadOnly(MakeOptions(copy));
    ASSERT_TRUE(log.ok()) << log.status();
    ASSERT_EQ((*log)->start().unfinished.size(), 1u);
  }
  EXPECT_TRUE(Contents(copy) == before);
}

TEST_F(ReadOnlyLogTest, AFolderWithoutALogIsRefusedAndNotMade) {
  const auto log = OpenDecisionLogReadOnly(MakeOptions(data_));
  EXPECT_EQ(log.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(log.status().message(), HasSubstr("no decision log in " + data_));
  EXPECT_FALSE(std::filesystem::exists(data_));
}

TEST_F(ReadOnlyLogTest, ALogThatAProcessHasIsRefusedAndTheOtherWayRound) {
  {
    const auto log = OpenOrDie(MakeOptions(data_));
    EXPECT_THAT(OpenDecisionLogReadOnly(MakeOptions(data_)).status().message(), HasSubstr("in use"));
  }
  const auto reading = OpenDecisionLogReadOnly(MakeOptions(data_));
  ASSERT_TRUE(reading.ok()) << reading.status();
  EXPECT_THAT(OpenDecisionLog(MakeOptions(data_)).status().message(), HasSubstr("in use"));
}

TEST_F(ReadOnlyLogTest, DamageIsRefusedAsAtAStart) {
  OpenOrDie(MakeOptions(data_)).reset();
  const std::string current = data_ + "/log/CURRENT";
  WriteFile(current, "MANIFEST-999999\n");
  EXPECT_EQ(OpenDecisionLogReadOnly(MakeOptions(data_)).status().code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace assent
