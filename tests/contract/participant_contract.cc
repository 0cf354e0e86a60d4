#include "tests/contract/participant_contract.h"

#include <utility>

namespace assent {
namespace {

using VoteKind = Vote::Kind;
using FinishKind = Finish::Kind;

absl::Time Deadline() { return SystemClock().Now() + kLongDeadline; }

// ---- Yes, and then the decision -------------------------------------------------------------------------------------

TEST_P(ParticipantContract, WhatIsPreparedIsSeenOnlyAfterItsCommit) {
  Participant& participant = driver_.Start(*harness_, 1);
  const BranchId branch = driver_.NewBranch();
  const std::string value = NewValue();
  ASSERT_TRUE(participant.Open(branch, harness_->GoodOptions(), Deadline()).ok());
  const ExecuteOutcome executed = driver_.Execute(participant, branch, harness_->GoodOperation(value));
  ASSERT_TRUE(executed.ok) << executed.error.message;
  EXPECT_FALSE(harness_->IsVisible(value));
  const Vote vote = driver_.Prepare(participant, branch);
  ASSERT_EQ(vote.kind, VoteKind::kYes) << vote.error.message;
  EXPECT_EQ(harness_->CountPrepared(coordinator_), 1);
  EXPECT_FALSE(harness_->IsVisible(value));
  const Finish committed = driver_.Commit(participant, branch, vote.token);
  EXPECT_EQ(committed.kind, FinishKind::kDone) << committed.message;
  EXPECT_TRUE(harness_->IsVisible(value));
  EXPECT_EQ(harness_->CountPrepared(coordinator_), 0);
}

TEST_P(ParticipantContract, PrepareMayBeAskedForBeforeTheWorkHasReturned) {
  Participant& participant = driver_.Start(*harness_, 1);
  const BranchId branch = driver_.NewBranch();
  const std::string first = NewValue();
  const std::string second = NewValue();
  ASSERT_TRUE(participant.Open(branch, harness_->GoodOptions(), Deadline()).ok());
  std::vector<std::string> order;
  std::string token;
  participant.Execute(branch, harness_->GoodOperation(first),
                      [&](ExecuteOutcome outcome) { order.push_back(outcome.ok ? "first" : outcome.error.message); });
  participant.Execute(branch, harness_->GoodOperation(second),
                      [&](ExecuteOutcome outcome) { order.push_back(outcome.ok ? "second" : outcome.error.message); });
  participant.Prepare(branch, [&](Vote vote) {
    order.push_back(vote.kind == VoteKind::kYes ? "yes" : vote.error.message);
    token = vote.token;
  });
  ASSERT_TRUE(driver_.RunUntil([&] { return order.size() == 3; }));
  EXPECT_EQ(order, (std::vector<std::string>{"first", "second", "yes"}));
  EXPECT_EQ(driver_.Commit(participant, branch, token).kind, FinishKind::kDone);
  EXPECT_TRUE(harness_->IsVisible(first));
  EXPECT_TRUE(harness_->IsVisible(second));
}

TEST_P(ParticipantContract, EveryCallMayBeRepeated) {
  Participant& participant = driver_.Start(*harness_, 1);
  const BranchId branch = driver_.NewBranch();
  const std::string value = NewValue();
  ASSERT_TRUE(participant.Open(branch, harness_->GoodOptions(), Deadline()).ok());
  ASSERT_TRUE(participant.Open(branch, harness_->GoodOptions(), Deadline()).ok());
  ASSERT_TRUE(driver_.Execute(participant, branch, harness_->GoodOperation(value)).ok);
  std::vector<Vote> votes;
  participant.Prepare(branch, [&](Vote vote) { votes.push_back(std::move(vote)); });
  participant.Prepare(branch, [&](Vote vote) { votes.push_back(std::move(vote)); });
  ASSERT_TRUE(driver_.RunUntil([&] { return votes.size() == 2; }));
  votes.push_back(driver_.Prepare(participant, branch));
  for (const Vote& vote : votes) {
    EXPECT_EQ(vote.kind, VoteKind::kYes) << vote.error.message;
    EXPECT_EQ(vote.token, votes[0].token);
  }
  for (int i = 0; i < 3; ++i) {
    const Finish committed = driver_.CommitUntilEnded(participant, branch, votes[0].token);
    EXPECT_EQ(committed.kind, FinishKind::kDone) << committed.message;
  }
  EXPECT_TRUE(harness_->IsVisible(value));
  participant.Forget(branch, votes[0].token);
  participant.Forget(branch, votes[0].token);
}

TEST_P(ParticipantContract, ManyBranchesInFlightEndEachAsTold) {
  constexpr int kBranches = 100;
  Participant& participant = driver_.Start(*harness_, 1);
  std::vector<std::string> values;
  int ended = 0;
  for (int i = 0; i < kBranches; ++i) {
    const BranchId branch = driver_.NewBranch();
    values.push_back(NewValue());
    ASSERT_TRUE(participant.Open(branch, harness_->GoodOptions(), Deadline()).ok());
    participant.Execute(branch, harness_->GoodOperation(values.back()),
                        [](ExecuteOutcome outcome) { EXPECT_TRUE(outcome.ok) << outcome.error.message; });
    participant.Prepare(branch, [&, branch, i](Vote vote) {
      EXPECT_EQ(vote.kind, VoteKind::kYes) << vote.error.message;
      const auto count = [&ended, &participant, branch, token = vote.token](Finish finish) {
        EXPECT_EQ(finish.kind, FinishKind::kDone) << finish.message;
        participant.Forget(branch, token);
        ++ended;
      };
      if (i % 3 == 0) {
        participant.Abort(branch, vote.token, count);
      } else {
        participant.Commit(branch, vote.token, count);
      }
    });
  }
  ASSERT_TRUE(driver_.RunUntil([&] { return ended == kBranches; })) << ended << " of " << kBranches;
  for (int i = 0; i < kBranches; ++i) EXPECT_EQ(harness_->IsVisible(values[i]), i % 3 != 0) << i;
  EXPECT_EQ(harness_->CountPrepared(coordinator_), 0);
}

// ---- No -------------------------------------------------------------------------------------------------------------

TEST_P(ParticipantContract, AFailedOperationVotesNoWithItsError) {
  Participant& participant = driver_.Start(*harness_, 1);
  const BranchId branch = driver_.NewBranch();
  const std::string value = NewValue();
  ASSERT_TRUE(participant.Open(branch, harness_->GoodOptions(), Deadline()).ok());
  EXPECT_TRUE(driver_.Execute(participant, branch, harness_->GoodOperation(value)).ok);
  driver_.Execute(participant, branch, harness_->BadOperation());
  const Vote vote = driver_.Prepare(participant, branch);
  EXPECT_EQ(vote.kind, VoteKind::kNo);
  EXPECT_FALSE(vote.error.message.empty());
  const Vote again = driver_.Prepare(participant, branch);
  EXPECT_EQ(again.kind, VoteKind::kNo);
  EXPECT_EQ(again.error.message, vote.error.message);
  EXPECT_EQ(driver_.AbortUntilEnded(participant, branch, vote.token).kind, FinishKind::kDone);
  EXPECT_FALSE(harness_->IsVisible(value));
  EXPECT_EQ(harness_->CountPrepared(coordinator_), 0);
}

TEST_P(ParticipantContract, AFailedOperationBeforeAnEagerPrepareVotesNo) {
  Participant& participant = driver_.Start(*harness_, 1);
  const BranchId branch = driver_.NewBranch();
  const std::string value = NewValue();
  ASSERT_TRUE(participant.Open(branch, harness_->GoodOptions(), Deadline()).ok());
  int executed = 0;
  participant.Execute(branch, harness_->BadOperation(), [&](ExecuteOutcome) { ++executed; });
  participant.Execute(branch, harness_->GoodOperation(value), [&](ExecuteOutcome) { ++executed; });
  const Vote vote = driver_.Prepare(participant, branch);
  EXPECT_EQ(vote.kind, VoteKind::kNo);
  EXPECT_EQ(executed, 2);
  EXPECT_EQ(driver_.AbortUntilEnded(participant, branch, vote.token).kind, FinishKind::kDone);
  EXPECT_FALSE(harness_->IsVisible(value));
  EXPECT_EQ(harness_->CountPrepared(coordinator_), 0);
}

TEST_P(ParticipantContract, OptionsAndOperationsOfAnotherKindAreInvalidArguments) {
  Participant& participant = driver_.Start(*harness_, 1);
  const absl::Status refused = participant.Open(driver_.NewBranch(), harness_->OptionsOfAnotherKind(), Deadline());
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument) << refused;
  const BranchId branch = driver_.NewBranch();
  ASSERT_TRUE(participant.Open(branch, harness_->GoodOptions(), Deadline()).ok());
  const ExecuteOutcome outcome = driver_.Execute(participant, branch, harness_->OperationOfAnotherKind());
  EXPECT_FALSE(outcome.ok);
  EXPECT_EQ(outcome.error.code, absl::StatusCode::kInvalidArgument) << outcome.error.message;
  EXPECT_EQ(driver_.Prepare(participant, branch).kind, VoteKind::kNo);
}

TEST_P(ParticipantContract, ABranchWithoutWorkVotesReadOnly) {
  Participant& participant = driver_.Start(*harness_, 1);
  const BranchId branch = driver_.NewBranch();
  ASSERT_TRUE(participant.Open(branch, harness_->GoodOptions(), Deadline()).ok());
  EXPECT_EQ(driver_.Prepare(participant, branch).kind, VoteKind::kReadOnly);
  EXPECT_EQ(harness_->CountPrepared(coordinator_), 0);
  participant.Forget(branch, "");
}

// ---- Abort ----------------------------------------------------------------------------------------------------------

TEST_P(ParticipantContract, AnOpenBranchAborts) {
  Participant& participant = driver_.Start(*harness_, 1);
  const BranchId branch = driver_.NewBranch();
  ASSERT_TRUE(participant.Open(branch, harness_->GoodOptions(), Deadline()).ok());
  for (int i = 0; i < 2; ++i) EXPECT_EQ(driver_.Abort(participant, branch, "").kind, FinishKind::kDone);
}

TEST_P(ParticipantContract, ABranchThatHasWorkedAborts) {
  Participant& participant = driver_.Start(*harness_, 1);
  const BranchId branch = driver_.NewBranch();
  const std::string value = NewValue();
  ASSERT_TRUE(participant.Open(branch, harness_->GoodOptions(), Deadline()).ok());
  ASSERT_TRUE(driver_.Execute(participant, branch, harness_->GoodOperation(value)).ok);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(driver_.AbortUntilEnded(participant, branch, "").kind, FinishKind::kDone);
  EXPECT_FALSE(harness_->IsVisible(value));
  EXPECT_EQ(harness_->CountPrepared(coordinator_), 0);
}

TEST_P(ParticipantContract, ABranchThatIsWorkingAborts) {
  Participant& participant = driver_.Start(*harness_, 1);
  const BranchId branch = driver_.NewBranch();
  const std::string value = NewValue();
  ASSERT_TRUE(participant.Open(branch, harness_->GoodOptions(), Deadline()).ok());
  bool executed = false;
  participant.Execute(branch, harness_->GoodOperation(value), [&](ExecuteOutcome) { executed = true; });
  driver_.loop().poll();
  EXPECT_EQ(driver_.AbortUntilEnded(participant, branch, "").kind, FinishKind::kDone);
  EXPECT_TRUE(driver_.RunUntil([&] { return executed; }));
  EXPECT_FALSE(harness_->IsVisible(value));
  EXPECT_EQ(harness_->CountPrepared(coordinator_), 0);
}

TEST_P(ParticipantContract, ABranchThatIsPreparingAborts) {
  Participant& participant = driver_.Start(*harness_, 1);
  const BranchId branch = driver_.NewBranch();
  const std::string value = NewValue();
  ASSERT_TRUE(participant.Open(branch, harness_->GoodOptions(), Deadline()).ok());
  participant.Execute(branch, harness_->GoodOperation(value), [](ExecuteOutcome) {});
  bool voted = false;
  participant.Prepare(branch, [&](Vote) { voted = true; });
  driver_.loop().poll();
  EXPECT_EQ(driver_.AbortUntilEnded(participant, branch, "").kind, FinishKind::kDone);
  EXPECT_TRUE(driver_.RunUntil([&] { return voted; }));
  EXPECT_FALSE(harness_->IsVisible(value));
  EXPECT_EQ(harness_->CountPrepared(coordinator_), 0);
}

TEST_P(ParticipantContract, APreparedBranchAborts) {
  Participant& participant = driver_.Start(*harness_, 1);
  const BranchId branch = driver_.NewBranch();
  const std::string value = NewValue();
  ASSERT_TRUE(participant.Open(branch, harness_->GoodOptions(), Deadline()).ok());
  ASSERT_TRUE(driver_.Execute(participant, branch, harness_->GoodOperation(value)).ok);
  const Vote vote = driver_.Prepare(participant, branch);
  ASSERT_EQ(vote.kind, VoteKind::kYes) << vote.error.message;
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(driver_.AbortUntilEnded(participant, branch, vote.token).kind, FinishKind::kDone);
  }
  EXPECT_FALSE(harness_->IsVisible(value));
  EXPECT_EQ(harness_->CountPrepared(coordinator_), 0);
}

// ---- Another process ------------------------------------------------------------------------------------------------

TEST_P(ParticipantContract, ALaterProcessCommitsFromTheTokenAlone) {
  const BranchId branch = driver_.NewBranch();
  const std::string value = NewValue();
  Participant& first = driver_.Start(*harness_, 1);
  ASSERT_TRUE(first.Open(branch, harness_->GoodOptions(), Deadline()).ok());
  ASSERT_TRUE(driver_.Execute(first, branch, harness_->GoodOperation(value)).ok);
  const Vote vote = driver_.Prepare(first, branch);
  ASSERT_EQ(vote.kind, VoteKind::kYes) << vote.error.message;
  driver_.Crash();
  Participant& second = driver_.Start(*harness_, 2, {vote.token});
  for (int i = 0; i < 2; ++i) {
    const Finish committed = driver_.CommitUntilEnded(second, branch, vote.token);
    EXPECT_EQ(committed.kind, FinishKind::kDone) << committed.message;
  }
  EXPECT_TRUE(harness_->IsVisible(value));
  EXPECT_EQ(harness_->CountPrepared(coordinator_), 0);
}

TEST_P(ParticipantContract, ACommitWhoseAnswerWasLostIsFoundDoneByALaterProcess) {
  const BranchId branch = driver_.NewBranch();
  const std::string value = NewValue();
  Participant& first = driver_.Start(*harness_, 1);
  ASSERT_TRUE(first.Open(branch, harness_->GoodOptions(), Deadline()).ok());
  ASSERT_TRUE(driver_.Execute(first, branch, harness_->GoodOperation(value)).ok);
  const Vote vote = driver_.Prepare(first, branch);
  ASSERT_EQ(vote.kind, VoteKind::kYes) << vote.error.message;
  EXPECT_EQ(driver_.CommitUntilEnded(first, branch, vote.token).kind, FinishKind::kDone);
  driver_.Crash();
  Participant& second = driver_.Start(*harness_, 2, {vote.token});
  const Finish committed = driver_.CommitUntilEnded(second, branch, vote.token);
  EXPECT_EQ(committed.kind, FinishKind::kDone) << committed.message;
  EXPECT_TRUE(harness_->IsVisible(value));
}

TEST_P(ParticipantContract, ALaterProcessFindsAndAbortsWhatWasLeftPrepared) {
  const BranchId branch = driver_.NewBranch();
  const std::string value = NewValue();
  Participant& first = driver_.Start(*harness_, 1);
  ASSERT_TRUE(first.Open(branch, harness_->GoodOptions(), Deadline()).ok());
  ASSERT_TRUE(driver_.Execute(first, branch, harness_->GoodOperation(value)).ok);
  const Vote vote = driver_.Prepare(first, branch);
  ASSERT_EQ(vote.kind, VoteKind::kYes) << vote.error.message;
  driver_.Crash();
  // Its token is in a log, so that nothing but Commit and Abort may touch it.
  Participant& second = driver_.Start(*harness_, 2, {vote.token});
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(driver_.AbortUntilEnded(second, branch, vote.token).kind, FinishKind::kDone);
  }
  EXPECT_FALSE(harness_->IsVisible(value));
  EXPECT_EQ(harness_->CountPrepared(coordinator_), 0);
}

// ---- A server that goes away ----------------------------------------------------------------------------------------

TEST_P(ParticipantOutageContract, ADownServerIsAnErrorInBoundedTimeAndItsReturnIsNoticed) {
  ASSERT_TRUE(harness_->OwnsServer());
  Participant& participant = driver_.Start(*harness_, 1);
  const BranchId prepared = driver_.NewBranch();
  const std::string value = NewValue();
  ASSERT_TRUE(participant.Open(prepared, harness_->GoodOptions(), Deadline()).ok());
  ASSERT_TRUE(driver_.Execute(participant, prepared, harness_->GoodOperation(value)).ok);
  const Vote vote = driver_.Prepare(participant, prepared);
  ASSERT_EQ(vote.kind, VoteKind::kYes) << vote.error.message;
  ASSERT_TRUE(participant.health().available);

  harness_->StopServer();
  const BranchId late = driver_.NewBranch();
  ASSERT_TRUE(participant.Open(late, harness_->GoodOptions(), SystemClock().Now() + absl::Seconds(10)).ok());
  driver_.Execute(participant, late, harness_->GoodOperation(NewValue()));
  const Vote no = driver_.Prepare(participant, late);
  EXPECT_NE(no.kind, VoteKind::kYes);
  EXPECT_TRUE(no.error.retryable) << no.error.message;
  EXPECT_EQ(driver_.Commit(participant, prepared, vote.token).kind, FinishKind::kRetry);
  ASSERT_TRUE(driver_.RunUntil([&] { return !participant.health().available; }));
  EXPECT_FALSE(participant.health().message.empty());

  const int before = driver_.available_count();
  harness_->StartServer();
  EXPECT_TRUE(driver_.RunUntil([&] { return driver_.available_count() > before; }));
  EXPECT_TRUE(participant.health().available);
  const Finish committed = driver_.CommitUntilEnded(participant, prepared, vote.token);
  EXPECT_EQ(committed.kind, FinishKind::kDone) << committed.message;
  EXPECT_TRUE(harness_->IsVisible(value));
}

TEST_P(ParticipantOutageContract, AServerThatIsDownAtStartIsWaitedFor) {
  harness_->StopServer();
  Participant& participant = driver_.Start(*harness_, 1, {}, /*await_available=*/false);
  EXPECT_FALSE(driver_.ListOwn(participant).ok());
  EXPECT_FALSE(participant.health().available);
  harness_->StartServer();
  EXPECT_TRUE(driver_.RunUntil([&] { return driver_.available_count() == 1; })) << participant.health().message;
}

}  // namespace
}  // namespace assent
