// What branches in doubt hide from read_committed readers, on a real broker.
#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <string>

#include "participants/kafka/partitioner.h"
#include "tests/participants/kafka/participant_under_test.h"
#include "tests/participants/kafka/plain_kafka.h"

namespace assent::kafka {
namespace {

TEST(HiddenRecordsOnBrokerTest, TheRecordsOfABranchInDoubtAndAllBehindThemAreHiddenUntilItHasEnded) {
  const char* const server = std::getenv("ASSENT_TEST_KAFKA");
  if (server == nullptr) GTEST_SKIP() << "ASSENT_TEST_KAFKA is not set: host:port of a broker";
  KafkaOptions options;
  options.name = "events";
  options.bootstrap_servers = {server};
  ParticipantUnderTest::Place place;
  PlainKafka kafka(server);
  const std::string topic = kafka.CreateTopic(2);
  kafka.ProduceKeys(topic, {"before", "it", "nothing", "is", "hidden"}, "murmur2_random");
  const auto process = StartProcess(options, place);

  v1::KafkaRecord record = ARecord(topic, "v");
  record.set_partition(1);
  const BranchId branch = process->Open();
  ASSERT_TRUE(process->Execute(branch, AnOperation({record, record})).ok);
  EXPECT_EQ(process->MeasureHidden().records, -1);
  const Vote vote = process->Prepare(branch);
  ASSERT_EQ(vote.kind, Vote::Kind::kYes) << vote.error.message;
  EXPECT_EQ(process->MeasureHidden().records, 2);

  // In its partition, and in the other.
  const std::vector<std::string> keys = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"};
  std::int64_t behind_it = 0;
  for (const std::string& key : keys) behind_it += PartitionOfKey(Partitioner::kMurmur2, key, 2) == 1 ? 1 : 0;
  ASSERT_GT(behind_it, 0);
  kafka.ProduceKeys(topic, keys, "murmur2_random");
  const Hidden hidden = process->MeasureHidden();
  EXPECT_EQ(hidden.records, 2 + behind_it);
  EXPECT_EQ(hidden.place, topic + "[1]");
  EXPECT_FALSE(hidden.is_partial);

  const Finish finish = process->Commit(branch, vote.token);
  ASSERT_EQ(finish.kind, Finish::Kind::kDone) << finish.message;
  EXPECT_EQ(process->MeasureHidden().records, -1);
  kafka.DeleteTopic(topic);
}

}  // namespace
}  // namespace assent::kafka
