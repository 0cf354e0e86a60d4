// The codec of what finds lost markers: golden bytes, and decoders that get less, or other, than they expect.
#include "participants/kafka/wire/producer_messages.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "participants/kafka/wire/cluster_messages.h"
#include "participants/kafka/wire/transaction_messages.h"
#include "tests/participants/kafka/wire_bytes.h"

namespace assent::kafka::wire {
namespace {

// Two partitions of one topic: a producer with an open transaction and one without, and an error.
std::string Answer() {
  return Bytes(
      "00000000"
      "02"
      "0274"
      "03"
      "00000001"
      "0000"
      "00"
      "03"
      "0000000000000fa0"
      "00000007"
      "00000000"
      "0000018f00000000"
      "00000002"
      "0000000000000064"
      "00"
      "0000000000000fa1"
      "00000008"
      "ffffffff"
      "ffffffffffffffff"
      "00000000"
      "ffffffffffffffff"
      "00"
      "00"
      "00000002"
      "0006"
      "0278"
      "01"
      "00"
      "00"
      "00");
}

TEST(DescribeProducersTest, TheRequestNamesPartitionsByTopic) {
  EXPECT_EQ(Hex(Encoded(DescribeProducersRequest{.topics = {{"t", {0, 3}}}})),
            "02"
            "0274"
            "03"
            "00000000"
            "00000003"
            "00"
            "00");
}

TEST(DescribeProducersTest, TheAnswerSaysWhoHasATransactionOpenAndFromWhere) {
  const std::string bytes = Answer();
  Decoder in(bytes);
  const auto response = DescribeProducersResponse::Decode(in);
  ASSERT_TRUE(in.ok());
  EXPECT_EQ(in.remaining(), 0u);
  ASSERT_EQ(response.topics.size(), 1u);
  EXPECT_EQ(response.topics[0].name, "t");
  const auto& partitions = response.topics[0].partitions;
  ASSERT_EQ(partitions.size(), 2u);
  EXPECT_EQ(partitions[0].index, 1);
  EXPECT_EQ(partitions[0].error_code, 0);
  ASSERT_EQ(partitions[0].producers.size(), 2u);
  EXPECT_EQ(partitions[0].producers[0].producer_id, 4000);
  EXPECT_EQ(partitions[0].producers[0].epoch, 7);
  EXPECT_EQ(partitions[0].producers[0].open_from_offset, 100);
  EXPECT_EQ(partitions[0].producers[1].producer_id, 4001);
  EXPECT_EQ(partitions[0].producers[1].open_from_offset, -1);
  EXPECT_EQ(partitions[1].index, 2);
  EXPECT_EQ(partitions[1].error_code, 6);
  EXPECT_TRUE(partitions[1].producers.empty());
}

TEST(DescribeProducersTest, AnAnswerCutAtAnyByteIsRefused) {
  const std::string whole = Answer();
  for (std::size_t length = 0; length < whole.size(); ++length) {
    const std::string cut = whole.substr(0, length);
    Decoder in(cut);
    DescribeProducersResponse::Decode(in);
    EXPECT_FALSE(in.ok()) << "cut at " << length;
  }
}

TEST(DescribeProducersTest, AnyByteMayBeWrongWithoutHarm) {
  std::minstd_rand random(1);
  const std::string whole = Answer();
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (const int value : {0x00, 0x01, 0x7f, 0x80, 0xff, static_cast<int>(random() & 0xff)}) {
      std::string damaged = whole;
      damaged[at] = static_cast<char>(value);
      Decoder in(damaged);
      DescribeProducersResponse::Decode(in);
      EXPECT_LE(in.remaining(), damaged.size());
    }
  }
}

TEST(DescribeProducersTest, ACountWithoutItsElementsReservesNothing) {
  const std::string bytes = Bytes(
      "00000000"
      "ffffffff0f");
  Decoder in(bytes);
  EXPECT_TRUE(DescribeProducersResponse::Decode(in).topics.empty());
  EXPECT_FALSE(in.ok());
}

TEST(MetadataRequestTest, AllTopicsAreANullArray) {
  EXPECT_EQ(Hex(Encoded(MetadataRequest{.all_topics = true})), "00000000");
  EXPECT_EQ(Hex(Encoded(MetadataRequest{})), "01000000") << "only the brokers";
}

TEST(TransactionAnswersTest, TheyNameThePartitionsAndTheProducer) {
  const std::string described = Bytes(
      "00000000"
      "02"
      "0000"
      "0269"
      "0853746174654f6b"
      "0000ea60"
      "0000000000000001"
      "0000000000000005"
      "0001"
      "02"
      "0274"
      "0300000000"
      "00000002"
      "00"
      "00"
      "00");
  Decoder in(described);
  const auto transaction = DescribeTransactionsResponse::Decode(in);
  ASSERT_TRUE(in.ok());
  ASSERT_EQ(transaction.topics.size(), 1u);
  EXPECT_EQ(transaction.topics[0].name, "t");
  EXPECT_EQ(transaction.topics[0].partitions, (std::vector<std::int32_t>{0, 2}));

  const std::string listed = Bytes(
      "00000000"
      "0000"
      "01"
      "02"
      "0269"
      "0000000000000005"
      "0273"
      "00"
      "00");
  Decoder list(listed);
  const auto all = ListTransactionsResponse::Decode(list);
  ASSERT_EQ(all.transactions.size(), 1u);
  EXPECT_EQ(all.transactions[0].producer_id, 5);
}

}  // namespace
}  // namespace assent::kafka::wire
