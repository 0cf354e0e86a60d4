// Brokers and processes that die under load: what was acknowledged is there once, what was aborted is not.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <iostream>
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

// Kafka loses markers where it is killed while it ends transactions (docs/adr/0009): again and again, until it has.
// After each kill nothing new begins, because the next transaction of an id would bring a lost marker with its own.
class LostMarkersTest : public testing::TestWithParam<bool> {
 protected:
  static constexpr int kMostKills = 12;

  void SetUp() override {
    if (std::getenv("ASSENT_TEST_KAFKA_LIBS") == nullptr) {
      GTEST_SKIP() << "ASSENT_TEST_KAFKA_LIBS is not set: the folder of Kafka's jars";
    }
    broker_ = std::make_unique<OwnKafka>();
    ASSERT_EQ(broker_->failure(), "");
    judge_ = std::make_unique<PlainKafka>(broker_->bootstrap_server());
    topic_ = judge_->CreateTopic(4);
    options_.name = "events";
    options_.bootstrap_servers = {broker_->bootstrap_server()};
    options_.trouble_lasts = absl::Seconds(4);  // its controller notices within three that it was away
    StartProcess({});
  }

  void StartProcess(const std::map<std::string, std::string>& unfinished) {
    process_ = std::make_unique<ParticipantUnderTest>(options_, place_);
    load_ = std::make_unique<Load>(*process_, topic_, fates_);
    load_->Stop();  // until RunLoad(): what is resumed is to be followed by nothing
    std::vector<std::string> tokens;
    for (const auto& [value, token] : unfinished) tokens.push_back(token);
    process_->Start(tokens);
    for (const auto& [value, token] : unfinished) load_->Resume(value, token);
  }

  // Half of the kills in quiet times, half in troubled ones.
  void RunLoad(bool until_quiet) {
    load_->Start();
    const int so_far = load_->committed();
    const auto quiet = std::chrono::steady_clock::now() + std::chrono::seconds(until_quiet ? 5 : 0);
    ASSERT_TRUE(process_->RunUntil(
        [&] { return load_->committed() >= so_far + 300 && std::chrono::steady_clock::now() > quiet; },
        std::chrono::seconds(60)))
        << (*process_)->health().message;
  }

  // Whether readers come to find everything, and nothing else.
  void ExpectAgreement() {
    ASSERT_TRUE(process_->RunUntil([&] { return load_->running() == 0 && (*process_)->health().available; },
                                   std::chrono::seconds(60)))
        << (*process_)->health().message;
    std::vector<ReadRecord> records;
    for (int turn = 0; turn < 60; ++turn) {
      records = judge_->ReadCommitted(topic_, place_.coordinator);
      if (records.size() == 2 * Committed()) break;
      process_->RunUntil([] { return false; }, std::chrono::milliseconds(500));  // it has no other thread than this one
    }
    ExpectFates(fates_, records);
  }
  std::size_t Committed() const {
    return static_cast<std::size_t>(std::count_if(
        fates_.begin(), fates_.end(), [](const auto& fate) { return fate.second == Load::Fate::kCommitted; }));
  }
  bool HasRepaired() { return (*process_)->health().message.find("markers written again") != std::string::npos; }

  std::unique_ptr<OwnKafka> broker_;
  std::unique_ptr<PlainKafka> judge_;
  std::string topic_;
  KafkaOptions options_;
  ParticipantUnderTest::Place place_;
  std::map<std::string, Load::Fate> fates_;
  std::unique_ptr<ParticipantUnderTest> process_;
  std::unique_ptr<Load> load_;
};

TEST_P(LostMarkersTest, ABrokerThatIsKilledAgainAndAgainLosesNothingThatWasCommitted) {
  const bool with_the_process = GetParam();
  bool has_repaired = false;
  for (int kill = 0; kill < kMostKills && !has_repaired && !HasFailure(); ++kill) {
    ASSERT_NO_FATAL_FAILURE(RunLoad(/*until_quiet=*/kill % 2 == 0));
    broker_->Stop();
    load_->Stop();
    if (with_the_process) {
      const std::map<std::string, std::string> unfinished = load_->unfinished_tokens;
      process_->Destroy();
      ++place_.epoch;
      StartProcess(unfinished);
    }
    process_->RunUntil([] { return false; }, std::chrono::milliseconds(300));
    broker_->Start();
    ASSERT_EQ(broker_->failure(), "");
    ASSERT_NO_FATAL_FAILURE(ExpectAgreement());
    has_repaired = HasRepaired();
  }
  std::cout << (*process_)->health().message << "\n";
}

INSTANTIATE_TEST_SUITE_P(OutageTest, LostMarkersTest, testing::Bool(), [](const auto& with_the_process) {
  return with_the_process.param ? "TogetherWithTheProcess" : "Alone";
});

}  // namespace
}  // namespace assent::kafka
