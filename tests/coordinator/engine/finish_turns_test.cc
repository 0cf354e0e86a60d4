#include "coordinator/engine/finish_turns.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/coordinator/engine/fake_scheduler.h"

namespace assent {
namespace {

using testing::ElementsAre;

struct FinishTurnsTest : testing::Test {
  void Await(int who) {
    turns.Await([this, who](FinishTurns::Turn turn) {
      started.push_back(who);
      had.push_back(turn);
    });
  }

  FakeScheduler scheduler;
  FinishTurns turns{scheduler, 2};
  std::vector<int> started;
  std::vector<FinishTurns::Turn> had;
};

TEST_F(FinishTurnsTest, SoManyAreUnderWayAtATimeAndTheOthersFollowInOrder) {
  for (int who = 1; who <= 4; ++who) Await(who);
  EXPECT_THAT(started, ElementsAre(1, 2));
  turns.End(had[1]);
  EXPECT_THAT(started, ElementsAre(1, 2, 3));
  turns.End(had[0]);
  EXPECT_THAT(started, ElementsAre(1, 2, 3, 4));
}

TEST_F(FinishTurnsTest, AnAttemptWithoutAnAnswerHoldsUpNobody) {
  for (int who = 1; who <= 4; ++who) Await(who);
  scheduler.Advance(FinishTurns::kLongestTurn);
  EXPECT_THAT(started, ElementsAre(1, 2, 3, 4));
}

TEST_F(FinishTurnsTest, ATurnEndsOnce) {
  for (int who = 1; who <= 6; ++who) Await(who);
  scheduler.Advance(FinishTurns::kLongestTurn);
  turns.End(had[0]);  // its answer has come at last
  turns.End(had[0]);
  EXPECT_THAT(started, ElementsAre(1, 2, 3, 4));
}

TEST_F(FinishTurnsTest, AttemptsThatEndInsideTheirStartsMayBeMany) {
  constexpr int kMany = 200'000;
  int ended = 0;
  Await(1);
  Await(2);
  for (int i = 0; i < kMany; ++i) {
    turns.Await([&](FinishTurns::Turn turn) {
      ++ended;
      turns.End(turn);
    });
  }
  EXPECT_EQ(ended, 0);
  turns.End(had[0]);
  EXPECT_EQ(ended, kMany);
}

}  // namespace
}  // namespace assent
