// Markers that Kafka does not write, or writes late, against a scripted broker.
#include "participants/kafka/error_codes.h"
#include "tests/participants/kafka/lost_markers_fixture.h"

namespace assent::kafka {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;
using wire::ApiKey;

// ---- When a branch ends ----

TEST_F(LostMarkersTest, WhereEachPartitionHasItsMarkerNothingElseIsAsked) {
  Begin();
  Vote vote;
  const BranchId branch = PreparedInBoth(vote);
  EXPECT_EQ(participant_->Commit(branch, vote.token).kind, Finish::Kind::kDone);
  ASSERT_EQ(broker_->Count(ApiKey::kDescribeProducers), 1u);
  EXPECT_THAT(ReadDescribeProducers(broker_->Requests(ApiKey::kDescribeProducers)[0]),
              ElementsAre(Pair("t", 0), Pair("t", 1)));
  EXPECT_EQ(broker_->Count(ApiKey::kDescribeTransactions), 0u);
  EXPECT_TRUE(Added().empty());
}

TEST_F(LostMarkersTest, InQuietTimesNobodyLooks) {
  options_.trouble_lasts = absl::ZeroDuration();
  Begin();
  Vote vote;
  const BranchId branch = PreparedInBoth(vote);
  Hang(vote, "PrepareCommit");
  EXPECT_EQ(participant_->Commit(branch, vote.token).kind, Finish::Kind::kDone);
  EXPECT_EQ(broker_->Count(ApiKey::kDescribeProducers), 0u);
}

TEST_F(LostMarkersTest, AMarkerThatComesLateIsWaitedFor) {
  Begin();
  Vote vote;
  const BranchId branch = PreparedInBoth(vote);
  Hang(vote, "PrepareCommit");
  const Finish early = participant_->Commit(branch, vote.token);
  EXPECT_EQ(early.kind, Finish::Kind::kRetry);
  EXPECT_THAT(early.message, HasSubstr("not every partition has its marker"));
  EXPECT_GE(broker_->Count(ApiKey::kDescribeTransactions), 1u);
  const std::size_t ended = EndTxns().size();
  MarkerArrives();
  EXPECT_EQ(CommitAtLast(branch, vote.token).kind, Finish::Kind::kDone);
  EXPECT_EQ(EndTxns().size(), ended) << "it is only waited for";
  EXPECT_TRUE(Added().empty());
}

TEST_F(LostMarkersTest, AMarkerThatComesBetweenTheLooksIsNotWrittenAgain) {
  Begin();
  Vote vote;
  const BranchId branch = PreparedInBoth(vote);
  Hang(vote, "CompleteCommit");
  broker_->Always(ApiKey::kDescribeTransactions, [this](const auto& request) {
    MarkerArrives();
    return broker_->Succeed(request);
  });
  EXPECT_EQ(CommitAtLast(branch, vote.token).kind, Finish::Kind::kDone);
  EXPECT_EQ(broker_->Count(ApiKey::kDescribeTransactions), 1u);
  EXPECT_TRUE(Added().empty());
}

TEST_F(LostMarkersTest, ALostOneIsWrittenByASecondTransactionWithTheSameDecision) {
  for (const bool commit : {true, false}) {
    Begin();
    Vote vote;
    const BranchId branch = PreparedInBoth(vote);
    Hang(vote, commit ? "CompleteCommit" : "CompleteAbort");
    WriteWhatIsEnded();
    const v1::KafkaToken token = TokenOf(vote.token);
    const Finish finish = FinishAtLast(branch, vote.token, commit);
    EXPECT_EQ(finish.kind, Finish::Kind::kDone) << finish.message;
    ASSERT_EQ(Added().size(), 1u);
    EXPECT_EQ(Added()[0].transactional_id, token.transactional_id());
    EXPECT_EQ(Added()[0].producer_id, token.producer_id());
    EXPECT_EQ(Added()[0].epoch, token.epoch() + 1) << "as the coordinator says";
    EXPECT_THAT(Added()[0].topics, ElementsAre(Pair("t", ElementsAre(1))));
    ASSERT_EQ(EndedAgain().size(), 1u);
    EXPECT_EQ(EndedAgain()[0].commit, commit);
    EXPECT_EQ(EndedAgain()[0].epoch, token.epoch() + 1);
    EXPECT_THAT(Health(), HasSubstr("1 markers written again"));

    const int fenced = Inits(token.transactional_id());
    (*participant_)->Forget(branch, vote.token);
    EXPECT_TRUE(participant_->RunUntil([&] { return Inits(token.transactional_id()) == fenced + 1; }))
        << "a copy of that EndTxn may still be on its way";
    participant_->Destroy();
  }
}

TEST_F(LostMarkersTest, ASecondTransactionWhoseOpeningGotNoAnswerIsEnded) {
  Begin();
  Vote vote;
  const BranchId branch = PreparedInBoth(vote);
  Hang(vote, "CompleteCommit");
  WriteWhatIsEnded();
  broker_->Next(ApiKey::kAddPartitionsToTxn, [this](const auto& request) {
    broker_->described_state = "Ongoing";
    return broker_->Succeed(request, 48);
  });
  EXPECT_EQ(CommitAtLast(branch, vote.token).kind, Finish::Kind::kDone);
  EXPECT_EQ(EndedAgain().size(), 1u);
}

TEST_F(LostMarkersTest, WhatDoesNotFitIsLeftToAnOperatorAndItsIdIsNotUsedAgain) {
  struct Case {
    std::string what, state;
    int epochs_later;
    std::int32_t open_at;
  };
  for (const Case& unfit :
       {Case{"the other decision", "CompleteAbort", 1, 0}, Case{"another transaction", "Ongoing", 1, 0},
        Case{"an epoch before it", "CompleteCommit", -1, 0}, Case{"open at another epoch", "CompleteCommit", 1, 1}}) {
    options_.max_transactional_ids = 1;
    Make();
    participant_->Start();
    Vote vote;
    const BranchId branch = PreparedInBoth(vote);
    Hang(vote, unfit.state, unfit.epochs_later);
    broker_->open_transactions[{"t", 1}].epoch += unfit.open_at;
    EXPECT_EQ(CommitAtLast(branch, vote.token).kind, Finish::Kind::kDone) << unfit.what;
    EXPECT_TRUE(Added().empty()) << unfit.what;
    (*participant_)->Forget(branch, vote.token);
    Vote next;
    Prepared(next);
    EXPECT_NE(TokenOf(next.token).transactional_id(), TokenOf(vote.token).transactional_id()) << unfit.what;
    participant_->Destroy();
  }
}

TEST_F(LostMarkersTest, WhatMayNotBeWrittenIsLeftToAnOperatorToo) {
  Begin();
  Vote vote;
  const BranchId branch = PreparedInBoth(vote);
  Hang(vote, "CompleteCommit");
  broker_->Always(ApiKey::kAddPartitionsToTxn, broker_->Answering(ApiKey::kAddPartitionsToTxn, 29));
  EXPECT_EQ(CommitAtLast(branch, vote.token).kind, Finish::Kind::kDone);
  EXPECT_EQ(Added().size(), 1u);
}

TEST_F(LostMarkersTest, EachErrorOfALeaderIsWaitedOutOrMeansThatNobodyMayLook) {
  Begin();
  for (const ErrorCode& entry : AllErrorCodes()) {
    if (entry.meaning == ErrorMeaning::kDone) continue;
    Vote vote;
    const BranchId branch = PreparedInBoth(vote);
    broker_->Next(ApiKey::kDescribeProducers, broker_->Answering(ApiKey::kDescribeProducers, entry.code));
    const std::size_t before = broker_->Count(ApiKey::kDescribeProducers);
    EXPECT_EQ(participant_->Commit(branch, vote.token).kind, Finish::Kind::kDone) << entry.name;
    const bool may_repeat = entry.meaning == ErrorMeaning::kRetry || entry.meaning == ErrorMeaning::kUnknown;
    EXPECT_EQ(broker_->Count(ApiKey::kDescribeProducers), before + (may_repeat ? 2 : 1)) << entry.name;
    (*participant_)->Forget(branch, vote.token);
  }
}

TEST_F(LostMarkersTest, ALookWithoutAnAnswerIsRepeated) {
  Begin();
  Vote vote;
  const BranchId branch = PreparedInBoth(vote);
  broker_->Next(ApiKey::kDescribeProducers, [](const auto&) { return ScriptedBroker::HangUp(); });
  EXPECT_EQ(CommitAtLast(branch, vote.token).kind, Finish::Kind::kDone);
}

TEST_F(LostMarkersTest, ATopicThatIsGoneNeedsNone) {
  for (const bool with_one_partition_again : {false, true}) {
    Begin();
    Vote vote;
    const BranchId branch = PreparedInBoth(vote);
    broker_->topics.clear();
    if (with_one_partition_again) broker_->topics["t"] = {1};
    const auto unknown = broker_->Answering(ApiKey::kDescribeProducers, 3);
    broker_->Next(ApiKey::kDescribeProducers, unknown);
    if (!with_one_partition_again) broker_->Always(ApiKey::kDescribeProducers, unknown);
    EXPECT_EQ(CommitAtLast(branch, vote.token).kind, Finish::Kind::kDone);
    EXPECT_TRUE(Added().empty());
    participant_->Destroy();
  }
}

TEST_F(LostMarkersTest, ATopicThatABrokerDoesNotKnowForAMomentIsNotGone) {
  options_.last_backoff = absl::Milliseconds(20);  // between the looks
  Begin();
  Vote vote;
  const BranchId branch = PreparedInBoth(vote);
  Hang(vote, "CompleteCommit");
  WriteWhatIsEnded();
  broker_->Always(ApiKey::kDescribeProducers, broker_->Answering(ApiKey::kDescribeProducers, 6));
  ASSERT_EQ(participant_->Commit(branch, vote.token).kind, Finish::Kind::kRetry) << "finish_timeout has passed";
  const auto topics = std::exchange(broker_->topics, {});
  RunFor(std::chrono::milliseconds(150));
  broker_->topics = topics;
  broker_->Always(ApiKey::kDescribeProducers, broker_->Answering(ApiKey::kDescribeProducers));
  EXPECT_EQ(CommitAtLast(branch, vote.token).kind, Finish::Kind::kDone);
  EXPECT_EQ(EndedAgain().size(), 1u);
}

// ---- When a broker is lost ----

TEST_F(LostMarkersTest, WhatEndedBeforeABrokerWasLostIsLookedAtBeforeItsIdIsUsedAgain) {
  options_.trouble_lasts = absl::ZeroDuration();
  Begin();
  Vote vote;
  const BranchId branch = PreparedInBoth(vote);
  ASSERT_EQ(participant_->Commit(branch, vote.token).kind, Finish::Kind::kDone);
  (*participant_)->Forget(branch, vote.token);
  ASSERT_EQ(broker_->Count(ApiKey::kDescribeProducers), 0u);
  participant_->Destroy();

  options_.trouble_lasts = absl::Milliseconds(500);
  for (const bool is_forgotten_before : {true, false}) {
    Begin();
    RunFor(std::chrono::milliseconds(600));
    const BranchId second = PreparedInBoth(vote);
    ASSERT_EQ(participant_->Commit(second, vote.token).kind, Finish::Kind::kDone);
    ASSERT_EQ(broker_->Count(ApiKey::kDescribeProducers), 0u) << "quiet again";
    if (is_forgotten_before) (*participant_)->Forget(second, vote.token);
    const std::string id = TokenOf(vote.token).transactional_id();
    const int fenced = Inits(id);

    broker_->Stop();
    ASSERT_TRUE(participant_->RunUntil([&] { return !(*participant_)->health().available; }));
    if (!is_forgotten_before) (*participant_)->Forget(second, vote.token);
    Hang(vote, "CompleteCommit");
    WriteWhatIsEnded();
    broker_->Next(ApiKey::kAddPartitionsToTxn, [&](const auto& request) {
      EXPECT_EQ(Inits(id), fenced) << "if this process dies now, the state still tells the next one";
      return broker_->Succeed(request);
    });
    broker_->Restart();
    EXPECT_TRUE(participant_->RunUntil([&] { return Inits(id) == fenced + 1; }));
    ASSERT_EQ(EndedAgain().size(), 1u);
    EXPECT_TRUE(EndedAgain()[0].commit);
    EXPECT_EQ(EndedAgain()[0].epoch, broker_->described_epoch);
    participant_->Destroy();
  }
}

TEST_F(LostMarkersTest, AMarkerThatALeaderHadIsLookedAtAgainWhenThatCrashes) {
  Begin();
  Vote vote;
  const BranchId branch = PreparedInBoth(vote);
  ASSERT_EQ(participant_->Commit(branch, vote.token).kind, Finish::Kind::kDone);
  (*participant_)->Forget(branch, vote.token);
  broker_->Stop();
  ASSERT_TRUE(participant_->RunUntil([&] { return !(*participant_)->health().available; }));
  Hang(vote, "CompleteCommit");
  WriteWhatIsEnded();
  broker_->Restart();
  ASSERT_TRUE(participant_->RunUntil([&] { return !EndedAgain().empty(); })) << "its followers did not have it yet";
  EXPECT_TRUE(EndedAgain()[0].commit);
}

// The second broker leads the second partition.
class TwoBrokersTest : public LostMarkersTest {
 protected:
  void BeginWithBoth() {
    options_.trouble_lasts = absl::Milliseconds(300);
    Make();
    second_ = std::make_unique<ScriptedBroker>(loop_, 2);
    broker_->nodes.push_back({2, second_->port()});
    second_->nodes = broker_->nodes;
    broker_->topics["t"] = second_->topics["t"] = {1, 2};
    participant_->Start();
    ASSERT_TRUE(participant_->RunUntil([&] { return Sees("2 of 2 brokers connected"); }));
    Settle();
    RunFor(std::chrono::milliseconds(400));
  }
  bool Sees(const std::string& health) { return Health().find(health) != std::string::npos; }
  void EndInBoth() {
    Vote vote;
    const BranchId branch = PreparedInBoth(vote);
    ASSERT_EQ(participant_->Commit(branch, vote.token).kind, Finish::Kind::kDone);
    (*participant_)->Forget(branch, vote.token);
  }

  // A branch of one partition, prepared.
  BranchId PreparedIn(std::int32_t partition, Vote& vote) {
    v1::KafkaRecord record = ARecord("t", "c");
    record.set_partition(partition);
    const BranchId branch = participant_->Open(absl::Seconds(3));
    EXPECT_TRUE(participant_->Execute(branch, AnOperation({record})).ok);
    vote = participant_->Prepare(branch);
    EXPECT_EQ(vote.kind, Vote::Kind::kYes) << vote.error.message;
    return branch;
  }

  std::unique_ptr<ScriptedBroker> second_;
};

TEST_F(TwoBrokersTest, WhileMarkersAreAwaitedFromOneThatIsAwayOthersAreWrittenTo) {
  BeginWithBoth();
  for (int id = 0; id < 8; ++id) EndInBoth();  // as many as there are
  ASSERT_EQ(broker_->Count(ApiKey::kDescribeProducers), 0u);
  second_->Stop();
  ASSERT_TRUE(participant_->RunUntil([&] { return Sees("1 of 2 brokers connected"); }));

  Vote vote;
  const BranchId branch = PreparedIn(0, vote);
  EXPECT_EQ(CommitAtLast(branch, vote.token).kind, Finish::Kind::kDone);
}

TEST_F(TwoBrokersTest, OneThatStaysAwayIsLostOnce) {
  BeginWithBoth();
  second_->Stop();
  ASSERT_TRUE(participant_->RunUntil([&] { return Sees("1 of 2 brokers connected"); }));
  Vote vote;
  const BranchId branch = PreparedIn(0, vote);
  ASSERT_EQ(CommitAtLast(branch, vote.token).kind, Finish::Kind::kDone);
  (*participant_)->Forget(branch, vote.token);
  const std::size_t looks = broker_->Count(ApiKey::kDescribeProducers);
  const std::size_t fenced = broker_->Count(ApiKey::kInitProducerId);
  RunFor(std::chrono::milliseconds(200));  // some ten attempts to connect to it
  EXPECT_EQ(broker_->Count(ApiKey::kDescribeProducers), looks);
  EXPECT_EQ(broker_->Count(ApiKey::kInitProducerId), fenced);
}

TEST_F(TwoBrokersTest, OneThatLeavesTheClusterWhileItIsConnectedIsLostToo) {
  BeginWithBoth();
  EndInBoth();
  ASSERT_EQ(broker_->Count(ApiKey::kDescribeProducers), 0u);
  broker_->nodes.pop_back();
  second_->nodes = broker_->nodes;
  broker_->topics["t"] = second_->topics["t"] = {1, 1};
  participant_->Execute(participant_->Open(), AnOperation({ARecord("other", "v")}));  // asks for brokers and topics
  EXPECT_TRUE(
      participant_->RunUntil([&] { return broker_->Count(ApiKey::kDescribeProducers) > 0; }, std::chrono::seconds(3)));
}

// An id that is used again at once, while the markers of its first transaction are on their way; then the broker dies.
class SuccessorTest : public LostMarkersTest {
 protected:
  void LoseTheBroker() {
    options_.max_transactional_ids = 1;
    options_.trouble_lasts = absl::Milliseconds(300);
    Make();
    participant_->Start();
    ASSERT_TRUE(participant_->RunUntil([&] { return participant_->times_available() > 0; }));
    RunFor(std::chrono::milliseconds(400));
    const BranchId branch = PreparedInBoth(first_);
    ASSERT_EQ(participant_->Commit(branch, first_.token).kind, Finish::Kind::kDone);
    (*participant_)->Forget(branch, first_.token);

    broker_->Next(ApiKey::kProduce, [](const auto&) { return ScriptedBroker::Silence(); });
    const BranchId next = participant_->Open();
    ASSERT_TRUE(participant_->Execute(next, AnOperation({ARecord("t", "c")})).ok);
    (*participant_)->Prepare(next, [this](Vote vote) { vote_ = std::move(vote); });
    ASSERT_TRUE(participant_->RunUntil([&] { return broker_->Count(ApiKey::kProduce) == 2; }));
    broker_->Stop();
    ASSERT_TRUE(participant_->RunUntil([&] { return !(*participant_)->health().available; }));
    WriteWhatIsEnded();
  }

  Vote first_;
  std::optional<Vote> vote_;  // of the next branch
};

TEST_F(SuccessorTest, ItGoesOnWhenTheyAreThere) {
  LoseTheBroker();
  broker_->Restart();
  ASSERT_TRUE(participant_->RunUntil([&] { return vote_.has_value(); }));
  EXPECT_EQ(vote_->kind, Vote::Kind::kYes) << vote_->error.message;
  EXPECT_TRUE(EndedAgain().empty());
}

TEST_F(SuccessorTest, ItGoesOnWhereItHadBegun) {
  LoseTheBroker();
  Hang(first_, "Ongoing");
  broker_->open_transactions[{"t", 1}].epoch += 1;
  broker_->Restart();
  ASSERT_TRUE(participant_->RunUntil([&] { return vote_.has_value(); }));
  EXPECT_EQ(vote_->kind, Vote::Kind::kYes) << vote_->error.message;
  EXPECT_TRUE(EndedAgain().empty());
}

// What it has sent may arrive at any time and open it: a second transaction under the same epoch would be one with it,
// and commit what is not decided.
TEST_F(SuccessorTest, WhereOneWasLostItIsGivenUpAndFencedBeforeAnythingIsWritten) {
  for (const std::string state : {"CompleteCommit", "Ongoing"}) {  // Ongoing: it has arrived, in another partition
    LoseTheBroker();
    Hang(first_, state);
    const std::string id = TokenOf(first_.token).transactional_id();
    const int fenced = Inits(id);
    broker_->Always(ApiKey::kInitProducerId, [&](const auto& request) {
      broker_->described_state = "Empty";
      broker_->described_epoch += 2;
      return broker_->Succeed(request);
    });
    broker_->Next(ApiKey::kAddPartitionsToTxn, [&](const auto& request) {
      EXPECT_EQ(Inits(id), fenced + 1);
      return broker_->Succeed(request);
    });
    const std::size_t produced = broker_->Count(ApiKey::kProduce);
    broker_->Restart();
    ASSERT_TRUE(participant_->RunUntil([&] { return vote_.has_value(); }));
    EXPECT_EQ(vote_->kind, Vote::Kind::kNo);
    EXPECT_TRUE(vote_->error.retryable);
    EXPECT_THAT(vote_->error.message, HasSubstr("has lost markers"));
    EXPECT_EQ(broker_->Count(ApiKey::kProduce), produced);

    ASSERT_TRUE(participant_->RunUntil([&] { return Inits(id) == fenced + 2; })) << "once more behind the writing";
    ASSERT_EQ(EndedAgain().size(), 1u);
    EXPECT_TRUE(EndedAgain()[0].commit);
    EXPECT_GT(EndedAgain()[0].epoch, TokenOf(first_.token).epoch() + 1);
    vote_.reset();
    participant_->Destroy();
  }
}

}  // namespace
}  // namespace assent::kafka
