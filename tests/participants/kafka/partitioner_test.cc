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
  EXPECT_EQ(PartitionOfKey("foobar", 7), (-790332482 & 0x7fffffff) % 7);
  for (int partitions = 1; partitions < 50; ++partitions) {
    const std::int32_t partition = PartitionOfKey("a-little-bit-longer-string", partitions);
    EXPECT_GE(partition, 0);
    EXPECT_LT(partition, partitions);
  }
}

}  // namespace
}  // namespace assent::kafka
