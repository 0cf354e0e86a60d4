#include "participants/kafka/partitioner.h"

#include <gtest/gtest.h>

namespace assent::kafka {
namespace {

// The vectors of Kafka's own test, org.apache.kafka.common.utils.UtilsTest.
TEST(PartitionerTest, HashesKeysAsTheJavaClient) {
  const auto hash = [](std::string_view key) { return static_cast<std::int32_t>(Murmur2(key)); };
  EXPECT_EQ(hash("21"), -973932308);
  EXPECT_EQ(hash("foobar"), -790332482);
  EXPECT_EQ(hash("a-little-bit-long-string"), -985981536);
  EXPECT_EQ(hash("a-little-bit-longer-string"), -1486304829);
  EXPECT_EQ(hash("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8"), -58897971);
  EXPECT_EQ(hash("abc"), 479470107);
}

TEST(PartitionerTest, TakesTheHashWithoutItsSignModuloThePartitions) {
  EXPECT_EQ(PartitionOfKey(Partitioner::kMurmur2, "foobar", 7), (-790332482 & 0x7fffffff) % 7);
  for (const Partitioner partitioner : {Partitioner::kMurmur2, Partitioner::kCrc32}) {
    for (int partitions = 1; partitions < 50; ++partitions) {
      const std::int32_t partition = PartitionOfKey(partitioner, "a-little-bit-longer-string", partitions);
      EXPECT_GE(partition, 0);
      EXPECT_LT(partition, partitions);
    }
  }
}

// The check value of CRC-32 (ISO-HDLC), which every implementation of it gives for these nine bytes.
TEST(PartitionerTest, HashesKeysAsLibrdkafka) {
  EXPECT_EQ(PartitionOfKey(Partitioner::kCrc32, "123456789", 1'000'003), 0xcbf43926u % 1'000'003);
  EXPECT_EQ(PartitionOfKey(Partitioner::kCrc32, "", 10), 0);
}

TEST(PartitionerTest, KnowsItsPartitionersByName) {
  EXPECT_EQ(ParsePartitioner("murmur2"), Partitioner::kMurmur2);
  EXPECT_EQ(ParsePartitioner("crc32"), Partitioner::kCrc32);
  EXPECT_EQ(ParsePartitioner("Murmur2"), std::nullopt);
}

}  // namespace
}  // namespace assent::kafka
