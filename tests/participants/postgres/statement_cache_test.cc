#include "participants/postgres/statement_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace assent::postgres {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(StatementCacheTest, AStatementIsPreparedOnItsSecondUse) {
  StatementCache cache(10);
  EXPECT_EQ(cache.Next("a", false).name, "");
  const StatementCache::Use second = cache.Next("a", false);
  EXPECT_NE(second.name, "");
  EXPECT_TRUE(second.prepare);
  const StatementCache::Use third = cache.Next("a", false);
  EXPECT_EQ(third.name, second.name);
  EXPECT_FALSE(third.prepare);
}

TEST(StatementCacheTest, AStatementThatComesOftenIsPreparedAtOnce) {
  StatementCache cache(10);
  EXPECT_TRUE(cache.Next("a", true).prepare);
}

TEST(StatementCacheTest, TheLeastRecentlyUsedFallsOutAndIsDeallocated) {
  StatementCache cache(2);
  const std::string a = cache.Next("a", true).name;
  const std::string b = cache.Next("b", true).name;
  cache.Next("a", true);
  cache.Next("c", true);
  EXPECT_THAT(cache.TakeEvicted(), ElementsAre(b));
  EXPECT_THAT(cache.TakeEvicted(), IsEmpty());
  EXPECT_EQ(cache.Next("a", true).name, a);
  EXPECT_TRUE(cache.Next("b", true).prepare);
}

TEST(StatementCacheTest, WhatWasNeverPreparedIsNotDeallocated) {
  StatementCache cache(1);
  cache.Next("a", false);
  cache.Next("b", false);
  EXPECT_THAT(cache.TakeEvicted(), IsEmpty());
}

TEST(StatementCacheTest, ADroppedStatementIsPreparedAnewUnderAnotherName) {
  StatementCache cache(2);
  const std::string name = cache.Next("a", true).name;
  cache.Drop(name);
  cache.Drop(name);
  cache.Drop("unknown");
  const StatementCache::Use again = cache.Next("a", true);
  EXPECT_TRUE(again.prepare);
  EXPECT_NE(again.name, name);
  EXPECT_THAT(cache.TakeEvicted(), IsEmpty());
}

TEST(StatementCacheTest, WithoutCapacityNothingIsPrepared) {
  StatementCache cache(0);
  EXPECT_EQ(cache.Next("a", true).name, "");
}

}  // namespace
}  // namespace assent::postgres
