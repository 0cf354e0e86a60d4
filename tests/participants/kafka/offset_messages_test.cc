// The codec of what tells how far partitions go: golden bytes, and a decoder that gets less than it expects.
#include "participants/kafka/wire/offset_messages.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/participants/kafka/wire_bytes.h"

namespace assent::kafka::wire {
namespace {

// Two partitions of one topic: one that tells, and one that refuses.
std::string Answer() {
  return Bytes(
      "00000000"
      "02"
      "0274"
      "03"
      "00000001"
      "0000"
      "ffffffffffffffff"
      "0000000000000064"
      "00000002"
      "00"
      "00000002"
      "0006"
      "ffffffffffffffff"
      "ffffffffffffffff"
      "ffffffff"
      "00"
      "00"
      "00");
}

TEST(ListOffsetsTest, TheRequestAsksForTheEndAsReadersOfOneIsolationSeeIt) {
  const std::string partition =
      "00000003"
      "ffffffff"
      "ffffffffffffffff"
      "00";
  for (const bool read_committed : {true, false}) {
    EXPECT_EQ(
        Hex(Encoded(ListOffsetsRequest{.read_committed = read_committed, .topics = {{"t", {3}}}})),
        std::string("ffffffff") + (read_committed ? "01" : "00") + "02" + "0274" + "02" + partition + "00" + "00");
  }
}

TEST(ListOffsetsTest, TheAnswerHasAnOffsetOrAnErrorForEachPartition) {
  const std::string bytes = Answer();
  Decoder in(bytes);
  const auto response = ListOffsetsResponse::Decode(in);
  ASSERT_TRUE(in.ok());
  EXPECT_EQ(in.remaining(), 0u);
  ASSERT_EQ(response.topics.size(), 1u);
  EXPECT_EQ(response.topics[0].name, "t");
  const auto& partitions = response.topics[0].partitions;
  ASSERT_EQ(partitions.size(), 2u);
  EXPECT_EQ(partitions[0].index, 1);
  EXPECT_EQ(partitions[0].error_code, 0);
  EXPECT_EQ(partitions[0].offset, 100);
  EXPECT_EQ(partitions[1].index, 2);
  EXPECT_EQ(partitions[1].error_code, 6);
}

TEST(ListOffsetsTest, EveryPartOfAnAnswerIsRefused) {
  const std::string bytes = Answer();
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    Decoder in(std::string_view(bytes).substr(0, length));
    (void)ListOffsetsResponse::Decode(in);
    EXPECT_FALSE(in.ok()) << length;
  }
}

}  // namespace
}  // namespace assent::kafka::wire
