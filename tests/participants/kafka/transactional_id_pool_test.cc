#include "participants/kafka/transactional_id_pool.h"

#include <gtest/gtest.h>

namespace assent::kafka {
namespace {

constexpr absl::Duration kRest = absl::Milliseconds(20);

class TransactionalIdPoolTest : public testing::Test {
 protected:
  TransactionalIdPool APool(std::size_t most, std::uint32_t shard = 0, std::uint32_t shards = 1) {
    return TransactionalIdPool({.shard = shard, .shard_count = shards, .most = most, .rest = kRest});
  }
  static ProducerSession Session(std::uint32_t number, std::int16_t epoch = 0) {
    return {.number = number, .producer_id = 100 + number, .epoch = epoch};
  }
  // Makes a pool of ids that are idle and have never been used.
  static void Fill(TransactionalIdPool& pool, std::size_t ids) {
    for (std::size_t i = 0; i < ids; ++i) pool.Fenced(Session(*pool.Grow()), now_);
  }

  static constexpr absl::Duration now_ = absl::Hours(5);
};

TEST_F(TransactionalIdPoolTest, AnIdIsUsedOnlyOnceItIsFenced) {
  auto pool = APool(2);
  const auto number = pool.Grow();
  ASSERT_TRUE(number);
  EXPECT_FALSE(pool.Take(now_));
  pool.Fenced(Session(*number, 4), now_);
  EXPECT_EQ(pool.Take(now_), Session(*number, 4));
  EXPECT_FALSE(pool.Take(now_));
  EXPECT_EQ(pool.in_use(), 1u);
}

TEST_F(TransactionalIdPoolTest, AFinishedIdRestsBeforeItIsUsedAgain) {
  auto pool = APool(2);
  Fill(pool, 1);
  const ProducerSession session = *pool.Take(now_);
  pool.Return(Session(session.number, 1), now_);
  EXPECT_FALSE(pool.Take(now_ + kRest / 2));
  EXPECT_EQ(pool.Take(now_ + kRest), Session(session.number, 1));
}

TEST_F(TransactionalIdPoolTest, AFullPoolGivesATiredIdRatherThanNone) {
  auto pool = APool(1);
  Fill(pool, 1);
  pool.Return(*pool.Take(now_), now_);
  EXPECT_FALSE(pool.Grow());
  EXPECT_TRUE(pool.Take(now_));
}

TEST_F(TransactionalIdPoolTest, InAHurryATiredIdIsGiven) {
  auto pool = APool(2);
  Fill(pool, 1);
  pool.Return(*pool.Take(now_), now_);
  EXPECT_FALSE(pool.Take(now_));
  EXPECT_TRUE(pool.Take(now_, /*hurry=*/true));
}

TEST_F(TransactionalIdPoolTest, IdsTakeTurns) {
  auto pool = APool(3);
  Fill(pool, 3);
  std::vector<std::uint32_t> order;
  for (int i = 0; i < 3; ++i) {
    order.push_back(pool.Take(now_)->number);
    pool.Return(Session(order.back()), now_);
  }
  EXPECT_NE(order[0], order[1]);
  EXPECT_NE(order[1], order[2]);
  EXPECT_NE(order[0], order[2]);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(pool.Take(now_ + kRest)->number, order[static_cast<std::size_t>(i)]);
  }
}

TEST_F(TransactionalIdPoolTest, AnIdOfUnknownEndMustBeFencedAgain) {
  auto pool = APool(1);
  Fill(pool, 1);
  const auto session = *pool.Take(now_);
  pool.MustFence(session.number);
  EXPECT_TRUE(pool.IsFencing(session.number));
  EXPECT_FALSE(pool.Take(now_ + absl::Hours(1), /*hurry=*/true));
  pool.Fenced(Session(session.number, 9), now_);
  EXPECT_EQ(pool.Take(now_)->epoch, 9);
}

TEST_F(TransactionalIdPoolTest, APinnedIdIsNeverTouchedUntilItIsUnpinned) {
  auto pool = APool(4);
  pool.Pin(0);
  pool.Pin(2);
  EXPECT_EQ(pool.Grow(), 1u);
  EXPECT_EQ(pool.Grow(), 3u);
  EXPECT_FALSE(pool.Adopt(0));
  EXPECT_TRUE(pool.Unpin(0));
  EXPECT_FALSE(pool.Unpin(0));
  EXPECT_TRUE(pool.Adopt(0));
  EXPECT_FALSE(pool.Adopt(2));
}

TEST_F(TransactionalIdPoolTest, EachNumberIsOneShards) {
  auto even = APool(4, 0, 2);
  auto odd = APool(4, 1, 2);
  EXPECT_EQ(even.Grow(), 0u);
  EXPECT_EQ(even.Grow(), 2u);
  EXPECT_EQ(odd.Grow(), 1u);
  EXPECT_EQ(odd.Grow(), 3u);
  EXPECT_FALSE(even.Adopt(7));
  EXPECT_TRUE(odd.Adopt(7));
  EXPECT_FALSE(odd.Adopt(7));
  // Whoever finished its transaction may take it from then on.
  EXPECT_TRUE(even.Adopt(9, /*of_any_shard=*/true));
}

TEST_F(TransactionalIdPoolTest, WhatIsFoundBeyondTheBoundIsFencedAndLetGo) {
  auto pool = APool(1);
  Fill(pool, 1);
  EXPECT_TRUE(pool.Adopt(17));
  pool.Fenced(Session(17), now_);
  EXPECT_EQ(pool.size(), 1u);
  EXPECT_EQ(pool.Take(now_)->number, 0u);
}

TEST_F(TransactionalIdPoolTest, WhatIsFoundDoesNotKeepTheFirstFromBeingUsed) {
  auto pool = APool(2);
  for (std::uint32_t number = 10; number < 20; ++number) EXPECT_TRUE(pool.Adopt(number));
  pool.Fenced(Session(10), now_);
  EXPECT_EQ(pool.Take(now_)->number, 10u);
}

TEST_F(TransactionalIdPoolTest, ABurntIdIsLetGoAndNeverGivenOutAgain) {
  auto pool = APool(4);
  Fill(pool, 1);
  const auto fencing = pool.Grow();
  pool.Burn(*fencing);
  pool.Fenced(Session(*fencing), now_);
  EXPECT_EQ(pool.size(), 1u);
  const auto in_use = *pool.Take(now_);
  pool.Burn(in_use.number);
  pool.Return(in_use, now_);
  EXPECT_EQ(pool.size(), 0u);
  EXPECT_EQ(pool.in_use(), 0u);
  EXPECT_EQ(pool.Grow(), 2u);
}

TEST_F(TransactionalIdPoolTest, OnlyAnIdleIdIsTakenToBeFencedAgain) {
  auto pool = APool(2);
  Fill(pool, 2);
  const auto in_use = *pool.Take(now_);
  EXPECT_FALSE(pool.TakeIdle(in_use.number));
  const std::uint32_t idle = 1 - in_use.number;
  EXPECT_TRUE(pool.TakeIdle(idle));
  EXPECT_TRUE(pool.IsFencing(idle));
  EXPECT_FALSE(pool.TakeIdle(idle)) << "once";
  EXPECT_FALSE(pool.Take(now_));
}

TEST_F(TransactionalIdPoolTest, AnIdIdleForTooLongIsFencedAgain) {
  auto pool = APool(2);
  Fill(pool, 2);
  EXPECT_TRUE(pool.TakeStale(now_ + absl::Hours(1)).empty());
  EXPECT_EQ(pool.TakeStale(now_ + absl::Hours(13)).size(), 2u);
  EXPECT_FALSE(pool.Take(now_ + absl::Hours(13)));
}

}  // namespace
}  // namespace assent::kafka
