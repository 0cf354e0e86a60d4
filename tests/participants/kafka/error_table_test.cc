// Every error code, as the answer to each kind of request: what becomes of the branch is what the table says.
#include "participants/kafka/error_codes.h"
#include "tests/participants/kafka/scripted_test.h"

namespace assent::kafka {
namespace {

using testing::HasSubstr;
using wire::ApiKey;

constexpr std::int16_t kInvalidTxnState = 48;  // to EndTxn: the transaction is looked at

class ErrorTableTest : public ScriptedTest {
 protected:
  // Those that a broker may answer to what this client asks.
  static std::vector<ErrorCode> OurErrors() {
    std::vector<ErrorCode> ours;
    for (const ErrorCode& entry : AllErrorCodes()) {
      const bool is_error = entry.meaning != ErrorMeaning::kDone;
      if (is_error && entry.why.find("no answer to what this client asks") == std::string_view::npos) {
        ours.push_back(entry);
      }
    }
    return ours;
  }
  static bool MayBeRepeated(const ErrorCode& entry) {
    return entry.meaning == ErrorMeaning::kRetry || entry.meaning == ErrorMeaning::kUnknown;
  }

  void BeginAs(std::int16_t transaction_version) {
    Make();
    broker_->transaction_version = transaction_version;
    participant_->Start();
    ASSERT_TRUE(participant_->RunUntil([&] { return participant_->times_available() > 0; }));
    Settle();
  }

  // The vote of a branch with one record, that has so long.
  Vote VoteOf(const BranchId& branch) {
    EXPECT_TRUE(participant_->Execute(branch, AnOperation({ARecord("t", "v")})).ok);
    return participant_->Prepare(branch);
  }

  void ExpectRefusal(const ErrorCode& entry, const Vote& vote) {
    EXPECT_EQ(vote.kind, Vote::Kind::kNo) << entry.name;
    EXPECT_EQ(vote.error.kafka_error, entry.code);
    EXPECT_THAT(vote.error.message, HasSubstr(std::string(entry.name)));
    EXPECT_THAT(vote.error.message, HasSubstr(std::string(entry.why)));
    EXPECT_EQ(vote.error.retryable, entry.meaning == ErrorMeaning::kFatal) << entry.name;
  }

  // Opening or filling a transaction by requests of this kind.
  void ExpectVotesByTheTable(ApiKey key) {
    for (const ErrorCode& entry : OurErrors()) {
      broker_->Next(key, broker_->Answering(key, entry.code));
      const BranchId branch = participant_->Open();
      const std::size_t before = broker_->Count(key);
      const Vote vote = VoteOf(branch);
      if (MayBeRepeated(entry)) {
        EXPECT_EQ(vote.kind, Vote::Kind::kYes) << entry.name << ": " << vote.error.message;
        EXPECT_EQ(broker_->Count(key), before + 2) << entry.name;
        EXPECT_EQ(participant_->Abort(branch, vote.token).kind, Finish::Kind::kDone);
      } else {
        ExpectRefusal(entry, vote);
        EXPECT_EQ(broker_->Count(key), before + 1) << entry.name;
      }
      (*participant_)->Forget(branch, vote.token);
    }
  }
};

TEST_F(ErrorTableTest, ProduceIsRepeatedOrRefused) {
  BeginAs(2);
  ExpectVotesByTheTable(ApiKey::kProduce);
}

TEST_F(ErrorTableTest, WhatProduceLeavesInDoubtUntilTheDeadlineIsUnknownAndNothingElseIs) {
  options_.first_backoff = options_.last_backoff = absl::Milliseconds(150);  // nothing is in flight at the deadline
  options_.trouble_lasts = absl::ZeroDuration();
  BeginAs(2);
  for (const ErrorCode& entry : OurErrors()) {
    if (!MayBeRepeated(entry)) continue;
    broker_->Always(ApiKey::kProduce, broker_->Answering(ApiKey::kProduce, entry.code));
    const BranchId branch = participant_->Open(absl::Milliseconds(120));
    const Vote vote = VoteOf(branch);
    EXPECT_EQ(vote.kind, entry.meaning == ErrorMeaning::kUnknown ? Vote::Kind::kUnknown : Vote::Kind::kNo)
        << entry.name;
    EXPECT_TRUE(vote.error.retryable) << entry.name;
    EXPECT_THAT(vote.error.message, HasSubstr(std::string(entry.name)));
    EXPECT_EQ(participant_->Abort(branch, vote.token).kind, Finish::Kind::kDone) << entry.name;
    (*participant_)->Forget(branch, vote.token);
  }
}

TEST_F(ErrorTableTest, AddPartitionsToTxnIsRepeatedOrRefused) {
  BeginAs(1);
  ExpectVotesByTheTable(ApiKey::kAddPartitionsToTxn);
}

TEST_F(ErrorTableTest, EndTxnIsRepeatedOrItsTransactionIsLookedAt) {
  BeginAs(2);
  for (const ErrorCode& entry : OurErrors()) {
    Vote vote;
    const BranchId branch = Prepared(vote);
    broker_->described_state = "CompleteCommit";
    broker_->Next(ApiKey::kEndTxn, broker_->Answering(ApiKey::kEndTxn, entry.code));
    const std::size_t ends = broker_->Count(ApiKey::kEndTxn);
    const std::size_t looks = broker_->Count(ApiKey::kDescribeTransactions);
    const Finish finish = participant_->Commit(branch, vote.token);
    const bool is_looked_at = entry.meaning == ErrorMeaning::kFatal || entry.code == error::kConcurrentTransactions;
    EXPECT_EQ(broker_->Count(ApiKey::kDescribeTransactions), looks + (is_looked_at ? 1 : 0)) << entry.name;
    if (is_looked_at || MayBeRepeated(entry)) {
      EXPECT_EQ(finish.kind, Finish::Kind::kDone) << entry.name << ": " << finish.message;
      EXPECT_EQ(broker_->Count(ApiKey::kEndTxn), ends + (is_looked_at ? 1 : 2)) << entry.name;
    } else {
      // It is decided: whatever the broker says, it is asked again until it does it.
      EXPECT_EQ(finish.kind, Finish::Kind::kRetry) << entry.name;
      EXPECT_THAT(finish.message, HasSubstr(std::string(entry.name)));
      EXPECT_EQ(participant_->Commit(branch, vote.token).kind, Finish::Kind::kDone);
    }
    (*participant_)->Forget(branch, vote.token);
  }
}

TEST_F(ErrorTableTest, InitProducerIdIsRepeatedAtOnceOrLaterAndItsRefusalIsToldToWhoWaits) {
  for (const ErrorCode& entry : OurErrors()) {
    if (entry.code == error::kInvalidTransactionTimeout) continue;  // asked again with another timeout: finish_test.cc
    options_.max_transactional_ids = 1;
    Make();
    broker_->Always(ApiKey::kInitProducerId, broker_->Answering(ApiKey::kInitProducerId, entry.code));
    participant_->Start();
    const std::size_t wanted = MayBeRepeated(entry) ? 2 : 1;
    ASSERT_TRUE(participant_->RunUntil([&] { return broker_->Count(ApiKey::kInitProducerId) >= wanted; }))
        << entry.name;
    if (!MayBeRepeated(entry)) {
      Vote vote;
      EXPECT_TRUE(participant_->RunUntil([&] {  // until the answer has been read
        vote = VoteOf(participant_->Open(absl::Milliseconds(20)));
        return vote.error.message.find(entry.name) != std::string::npos;
      })) << entry.name
          << ": " << vote.error.message;
      EXPECT_EQ(vote.kind, Vote::Kind::kNo) << entry.name;
      EXPECT_EQ(broker_->Count(ApiKey::kInitProducerId), 1u) << entry.name;
    }
    participant_->Destroy();
  }
}

TEST_F(ErrorTableTest, ACoordinatorIsLookedUpAgainOrItsRefusalIsToldToWhoWaits) {
  for (const ErrorCode& entry : OurErrors()) {
    if (entry.code == error::kInvalidTransactionTimeout)
      continue;  // taken for one about the timeout that was asked for
    options_.max_transactional_ids = 1;
    Make();
    broker_->Always(ApiKey::kFindCoordinator, broker_->Answering(ApiKey::kFindCoordinator, entry.code));
    participant_->Start();
    const bool is_refused = entry.meaning == ErrorMeaning::kNo;
    const std::size_t wanted = is_refused ? 1 : 2;
    ASSERT_TRUE(participant_->RunUntil([&] { return broker_->Count(ApiKey::kFindCoordinator) >= wanted; }))
        << entry.name;
    Vote vote;
    if (is_refused) {
      EXPECT_TRUE(participant_->RunUntil([&] {  // until the answer has been read
        vote = VoteOf(participant_->Open(absl::Milliseconds(20)));
        return vote.error.message.find(entry.name) != std::string::npos;
      })) << entry.name
          << ": " << vote.error.message;
      EXPECT_EQ(vote.kind, Vote::Kind::kNo) << entry.name;
      EXPECT_EQ(broker_->Count(ApiKey::kFindCoordinator), 1u) << entry.name;
    } else {
      broker_->Always(ApiKey::kFindCoordinator, broker_->Answering(ApiKey::kFindCoordinator));
      vote = VoteOf(participant_->Open());
      EXPECT_EQ(vote.kind, Vote::Kind::kYes) << entry.name << ": " << vote.error.message;
    }
    participant_->Destroy();
  }
}

TEST_F(ErrorTableTest, ATopicIsAskedForAgainOrRefused) {
  BeginAs(2);
  for (const ErrorCode& entry : OurErrors()) {
    const std::string topic(entry.name);
    broker_->topics[topic] = {1};
    broker_->Next(ApiKey::kMetadata, broker_->Answering(ApiKey::kMetadata, entry.code));
    const std::size_t before = broker_->Count(ApiKey::kMetadata);
    const ExecuteOutcome outcome = participant_->Execute(participant_->Open(), AnOperation({ARecord(topic, "v")}));
    // There is no such topic: an answer too.
    const bool is_refused = entry.meaning == ErrorMeaning::kNo || entry.code == error::kUnknownTopicOrPartition;
    EXPECT_EQ(outcome.ok, !is_refused) << outcome.error.message;
    EXPECT_EQ(broker_->Count(ApiKey::kMetadata), before + (is_refused ? 1 : 2)) << entry.name;
    if (is_refused) {
      EXPECT_EQ(outcome.error.kafka_error_name, entry.name);
      EXPECT_FALSE(outcome.error.retryable) << entry.name;
    }
  }
}

TEST_F(ErrorTableTest, ATransactionThatCannotBeLookedAtIsLookedAtAgain) {
  BeginAs(2);
  for (const ErrorCode& entry : OurErrors()) {
    Vote vote;
    const BranchId branch = Prepared(vote);
    broker_->described_state = "CompleteCommit";
    broker_->Next(ApiKey::kEndTxn, broker_->Answering(ApiKey::kEndTxn, kInvalidTxnState));
    broker_->Next(ApiKey::kDescribeTransactions, broker_->Answering(ApiKey::kDescribeTransactions, entry.code));
    const std::size_t before = broker_->Count(ApiKey::kDescribeTransactions);
    const Finish finish = participant_->Commit(branch, vote.token);
    EXPECT_EQ(broker_->Count(ApiKey::kDescribeTransactions), before + (MayBeRepeated(entry) ? 2 : 1)) << entry.name;
    if (MayBeRepeated(entry)) {
      EXPECT_EQ(finish.kind, Finish::Kind::kDone) << entry.name << ": " << finish.message;
    } else if (entry.code == error::kTransactionalIdNotFound) {
      EXPECT_EQ(finish.kind, Finish::Kind::kHeuristic) << "what it says is that it has forgotten";
    } else {
      EXPECT_EQ(finish.kind, Finish::Kind::kRetry) << entry.name;
      EXPECT_THAT(finish.message, HasSubstr(std::string(entry.name)));
      EXPECT_EQ(participant_->Commit(branch, vote.token).kind, Finish::Kind::kDone);
    }
    (*participant_)->Forget(branch, vote.token);
  }
}

TEST_F(ErrorTableTest, WhatCannotBeListedIsListedAgain) {
  options_.last_backoff = absl::Milliseconds(5);
  BeginAs(2);
  for (const ErrorCode& entry : OurErrors()) {
    broker_->Next(ApiKey::kListTransactions, broker_->Answering(ApiKey::kListTransactions, entry.code));
    const std::size_t before = broker_->Count(ApiKey::kListTransactions);
    const auto listed = participant_->ListOwn();
    EXPECT_TRUE(listed.ok()) << entry.name << ": " << listed.status().message();
    EXPECT_EQ(broker_->Count(ApiKey::kListTransactions), before + 2) << entry.name;
  }
}

}  // namespace
}  // namespace assent::kafka
