// Brokers and processes that die under load: what was acknowledged is there once, what was aborted is not.
#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <memory>
#include <string>

#include "tests/participants/kafka/load.h"
#include "tests/participants/kafka/own_kafka.h"
#include "tests/participants/kafka/participant_under_test.h"
#include "tests/participants/kafka/plain_kafka.h"

namespace assent::kafka {
namespace {

TEST(OutageTest, AKilledBrokerAndAKilledProcessLoseNothingAndRepeatNothing) {
  if (std::getenv("ASSENT_TEST_KAFKA_LIBS") == nullptr) {
    GTEST_SKIP() << "ASSENT_TEST_KAFKA_LIBS is not set: the folder of Kafka's jars";
  }
  OwnKafka broker;
  ASSERT_EQ(broker.failure(), "");
  PlainKafka judge(broker.bootstrap_server());
  const std::string topic = judge.CreateTopic(4);
  KafkaOptions options;
  options.name = "events";
  options.bootstrap_servers = {broker.bootstrap_server()};
  ParticipantUnderTest::Place place;
  std::map<std::string, Load::Fate> fates;

  auto first = std::make_unique<ParticipantUnderTest>(options, place);
  first->Start();
  Load before(*first, topic, fates);
  before.Start();
  for (int kill = 0; kill < 2; ++kill) {
    const int so_far = before.committed();
    ASSERT_TRUE(first->RunUntil([&] { return before.committed() >= so_far + 200; }, std::chrono::seconds(60)));
    broker.Stop();
    first->RunUntil([] { return false; }, std::chrono::milliseconds(300));
    broker.Start();
    ASSERT_EQ(broker.failure(), "");
  }
  const int so_far = before.committed();
  ASSERT_TRUE(first->RunUntil([&] { return before.committed() >= so_far + 200; }, std::chrono::seconds(60)));

  // The process dies. What it had decided is in its log, what it had not is aborted by the next one.
  std::vector<std::string> tokens;
  for (const auto& [value, token] : before.unfinished_tokens) tokens.push_back(token);
  first->Destroy();
  ++place.epoch;
  ParticipantUnderTest second(options, place);
  second.Start(tokens);
  ASSERT_TRUE(second.RunUntil([&] { return second.times_available() > 0; }));
  Load after(second, topic, fates);
  after.Start();
  for (const auto& [value, token] : before.unfinished_tokens) {
    const BranchId branch = second.NewBranch();
    Finish finish = second.Commit(branch, token);
    while (finish.kind == Finish::Kind::kRetry) {
      second.RunUntil([] { return false; }, std::chrono::milliseconds(20));
      finish = second.Commit(branch, token);
    }
    ASSERT_EQ(finish.kind, Finish::Kind::kDone) << finish.message;
    second->Forget(branch, token);
    fates[value] = Load::Fate::kCommitted;
  }
  ASSERT_TRUE(second.RunUntil([&] { return after.committed() >= 200; }, std::chrono::seconds(60)));
  after.Stop();
  ASSERT_TRUE(second.RunUntil([&] { return after.running() == 0; }, std::chrono::seconds(60)));
  // Nothing stays open, or it would hide what comes after it.
  ASSERT_TRUE(second.RunUntil([&] {
    for (const auto& [id, state] : judge.TransactionStates(place.coordinator)) {
      if (state == "Ongoing" || state.starts_with("Prepare")) return false;
    }
    return true;
  }));

  EXPECT_GE(ExpectFates(fates, judge.ReadCommitted(topic, place.coordinator)), 800);
}

}  // namespace
}  // namespace assent::kafka
