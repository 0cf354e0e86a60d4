// Three brokers: leaders and coordinators that move, brokers that go and return, partitions that are added.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <memory>
#include <set>
#include <string>

#include "absl/strings/str_join.h"
#include "tests/participants/kafka/load.h"
#include "tests/participants/kafka/own_kafka.h"
#include "tests/participants/kafka/participant_under_test.h"
#include "tests/participants/kafka/plain_kafka.h"

namespace assent::kafka {
namespace {

constexpr auto kPatience = std::chrono::seconds(60);

class ClusterTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (std::getenv("ASSENT_TEST_KAFKA_LIBS") == nullptr) return;
    // Each broker leads what it is the first replica of, again as soon as it has returned: leaders and coordinators
    // move while every broker is up, too.
    cluster_ = std::make_unique<OwnCluster>(
        std::vector<std::string>{"min.insync.replicas=2", "transaction.state.log.replication.factor=3",
                                 "transaction.state.log.min.isr=2", "leader.imbalance.check.interval.seconds=1"});
  }
  static void TearDownTestSuite() { cluster_.reset(); }

  void SetUp() override {
    if (!cluster_) GTEST_SKIP() << "ASSENT_TEST_KAFKA_LIBS is not set: the folder of Kafka's jars";
    ASSERT_EQ(cluster_->failure(), "");
    options_.name = "events";
    options_.bootstrap_servers = cluster_->bootstrap_servers();
    judge_ = std::make_unique<PlainKafka>(absl::StrJoin(cluster_->bootstrap_servers(), ","));
  }

  static bool GoesOn(ParticipantUnderTest& process, const Load& load) {
    const int so_far = load.committed();
    return process.RunUntil([&] { return load.committed() >= so_far + 200; }, kPatience);
  }
  static bool AllConnected(ParticipantUnderTest& process) {
    return process->health().message.find("3 of 3 brokers connected") != std::string::npos;
  }

  static std::unique_ptr<OwnCluster> cluster_;
  KafkaOptions options_;
  ParticipantUnderTest::Place place_;
  std::unique_ptr<PlainKafka> judge_;
};

std::unique_ptr<OwnCluster> ClusterTest::cluster_;

TEST_F(ClusterTest, BrokersThatGoAndReturnUnderLoadLoseNothingAndRepeatNothing) {
  const std::string topic = judge_->CreateTopic(6, {}, /*replicas=*/3);
  ParticipantUnderTest process(options_, place_);
  process.Start();
  std::map<std::string, Load::Fate> fates;
  Load load(process, topic, fates);
  load.Start();
  for (int node = 1; node <= cluster_->size(); ++node) {
    ASSERT_TRUE(process.RunUntil([&] { return AllConnected(process); }, kPatience)) << process->health().message;
    ASSERT_TRUE(GoesOn(process, load));
    cluster_->node(node).Stop();
    ASSERT_TRUE(GoesOn(process, load)) << "two of three brokers are enough; " << process->health().message;
    cluster_->node(node).Start();
    ASSERT_EQ(cluster_->failure(), "");
  }
  ASSERT_TRUE(process.RunUntil([&] { return AllConnected(process); }, kPatience));
  ASSERT_TRUE(GoesOn(process, load));
  load.Stop();
  ASSERT_TRUE(process.RunUntil([&] { return load.running() == 0; }, kPatience));
  EXPECT_GE(ExpectFates(fates, judge_->ReadCommitted(topic, place_.coordinator)), 1000);
}

// It is the leader of a third of the partitions, and the coordinator of a third of the transactions: until the cluster
// takes it for dead, and once it is awake again, with requests that it has read and not yet worked on.
TEST_F(ClusterTest, ABrokerThatFreezesUnderLoadAndWakesUpLosesNothingAndRepeatsNothing) {
  options_.request_timeout = absl::Seconds(2);
  const std::string topic = judge_->CreateTopic(6, {}, /*replicas=*/3);
  ParticipantUnderTest process(options_, place_);
  process.Start();
  std::map<std::string, Load::Fate> fates;
  Load load(process, topic, fates);
  load.Start();
  ASSERT_TRUE(GoesOn(process, load));
  cluster_->node(2).Freeze();
  EXPECT_TRUE(GoesOn(process, load)) << process->health().message;
  cluster_->node(2).Thaw();
  EXPECT_TRUE(process.RunUntil([&] { return AllConnected(process); }, kPatience)) << process->health().message;
  EXPECT_TRUE(GoesOn(process, load));
  load.Stop();
  ASSERT_TRUE(process.RunUntil([&] { return load.running() == 0; }, kPatience));
  EXPECT_GE(ExpectFates(fates, judge_->ReadCommitted(topic, place_.coordinator)), 600);
}

TEST_F(ClusterTest, PartitionsThatAreAddedAreWritten) {
  options_.metadata_age = absl::Seconds(1);
  const std::string topic = judge_->CreateTopic(1, {}, /*replicas=*/3);
  ParticipantUnderTest process(options_, place_);
  process.Start();
  std::map<std::string, Load::Fate> fates;
  Load load(process, topic, fates);
  load.Start();
  ASSERT_TRUE(process.RunUntil([&] { return load.committed() >= 50; }));
  judge_->AddPartitions(topic, 4);
  const auto partitions_written = [&] {
    std::set<std::int32_t> written;
    for (const ReadRecord& record : judge_->ReadCommitted(topic, place_.coordinator)) written.insert(record.partition);
    return written.size();
  };
  int so_far = load.committed();
  ASSERT_TRUE(process.RunUntil([&] {
    if (load.committed() < so_far + 200) return false;
    so_far = load.committed();
    return partitions_written() == 4;
  }));
  load.Stop();
  ASSERT_TRUE(process.RunUntil([&] { return load.running() == 0; }));
  ExpectFates(fates, judge_->ReadCommitted(topic, place_.coordinator));
}

}  // namespace
}  // namespace assent::kafka
