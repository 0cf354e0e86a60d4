#include "base/ids.h"

#include <gtest/gtest.h>

namespace assent {
namespace {

const CoordinatorId kOrders{.name = "orders", .incarnation = 0x5f0cab12d3e4f567};
const TxnId kTxn{.coordinator = kOrders, .epoch = 3, .shard = 0, .sequence = 1042};

TEST(IdsTest, TxnIdReadsBackFromItsText) {
  EXPECT_EQ(kTxn.ToString(), "orders-5f0cab12d3e4f567-3-0-1042");
  EXPECT_EQ(ParseTxnId(kTxn.ToString()), kTxn);
}

TEST(IdsTest, GidReadsBackAlsoWithDashesInTheBranch) {
  const BranchId branch{kTxn, "stock-eu_1"};
  EXPECT_EQ(branch.ToGid(), "assent-orders-5f0cab12d3e4f567-3-0-1042-stock-eu_1");
  EXPECT_EQ(ParseGid(branch.ToGid()), branch);
}

TEST(IdsTest, TheLongestGidFitsIntoPostgres) {
  TxnId txn{{std::string(32, 'a'), ~0ull}, ~0u, ~0u, ~0ull};
  EXPECT_LE((BranchId{txn, std::string(63, 'b')}.ToGid().size()), 199u);
}

TEST(IdsTest, ACoordinatorWhoseNameIsAPrefixOfAnotherIsAnother) {
  const TransactionalId id{{"a", 1}, 7};
  const auto other = ParseTransactionalId("assent-a1-0000000000000001-7");
  ASSERT_TRUE(other.has_value());
  EXPECT_NE(other->coordinator, id.coordinator);
  EXPECT_EQ(ParseTransactionalId(id.ToString()), id);
}

TEST(IdsTest, TextThatOnlyLooksAlikeIsNoId) {
  for (const char* text : {"", "orders", "orders-5f0cab12d3e4f567-3-0", "orders-5f0cab12d3e4f567-3-0-1042-",
                           "orders-5f0cab12d3e4f567-3-0-01042", "orders-5F0CAB12D3E4F567-3-0-1042",
                           "Orders-5f0cab12d3e4f567-3-0-1042", "orders-5f0cab12d3e4f567-+3-0-1042",
                           "orders-5f0cab12d3e4f567-3-0-18446744073709551616", "orders-5f0cab12d3e4f56-3-0-1042"}) {
    EXPECT_FALSE(ParseTxnId(text).has_value()) << text;
  }
  for (const char* gid : {"assent-orders-5f0cab12d3e4f567-3-0-1042", "assent-orders-5f0cab12d3e4f567-3-0-1042-",
                          "orders-5f0cab12d3e4f567-3-0-1042-b", "assent-orders-5f0cab12d3e4f567-3-0-1042-b c"}) {
    EXPECT_FALSE(ParseGid(gid).has_value()) << gid;
  }
}

}  // namespace
}  // namespace assent
