// Brokers and processes that die under load: what was acknowledged is there once, what was aborted is not.
#include <gtest/gtest.h>

#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/participants/kafka/own_kafka.h"
#include "tests/participants/kafka/participant_under_test.h"
#include "tests/participants/kafka/plain_kafka.h"

namespace assent::kafka {
namespace {

constexpr int kInFlight = 24;

// Does as an engine: decides to commit what votes yes, and repeats what is to be repeated.
class Load {
 public:
  enum class Fate { kUndecided, kCommitting, kCommitted, kAborted };

  Load(ParticipantUnderTest& process, std::string topic, std::map<std::string, Fate>& fates)
      : process_(process), topic_(std::move(topic)), fates_(fates) {}

  void Start() {
    for (int i = 0; i < kInFlight; ++i) Next();
  }
  void Stop() { stopping_ = true; }
  int running() const { return running_; }
  int committed() const { return committed_; }

  // What a log would have of the decided and unfinished.
  std::map<std::string, std::string> unfinished_tokens;

 private:
  void Next() {
    if (stopping_) return;
    ++running_;
    const BranchId branch = process_.Open(absl::Seconds(4));
    const std::string value = absl::StrCat("value-", process_.place().epoch, "-", branch.txn.sequence);
    fates_[value] = Fate::kUndecided;
    process_->Execute(branch, AnOperation({ARecord(topic_, value), ARecord(topic_, value + "/second")}),
                      [](ExecuteOutcome) {});
    process_->Prepare(branch, [this, branch, value](Vote vote) {
      if (vote.kind == Vote::Kind::kYes) {
        fates_[value] = Fate::kCommitting;
        unfinished_tokens[value] = vote.token;
        Finish(branch, value, vote.token, /*commit=*/true);
      } else {
        Finish(branch, value, vote.token, /*commit=*/false);
      }
    });
  }

  void Finish(const BranchId& branch, const std::string& value, const std::string& token, bool commit) {
    auto finished = [this, branch, value, token, commit](assent::Finish finish) {
      ASSERT_NE(finish.kind, Finish::Kind::kHeuristic) << finish.message;
      if (finish.kind == Finish::Kind::kRetry) {
        auto timer = std::make_shared<boost::asio::steady_timer>(process_.loop(), std::chrono::milliseconds(30));
        timer->async_wait([this, timer, branch, value, token, commit](const boost::system::error_code& error) {
          if (!error) Finish(branch, value, token, commit);
        });
        return;
      }
      fates_[value] = commit ? Fate::kCommitted : Fate::kAborted;
      committed_ += commit ? 1 : 0;
      unfinished_tokens.erase(value);
      process_->Forget(branch, token);
      --running_;
      process_.loop().post([this] { Next(); });
    };
    if (commit) {
      process_->Commit(branch, token, std::move(finished));
    } else {
      process_->Abort(branch, token, std::move(finished));
    }
  }

  ParticipantUnderTest& process_;
  const std::string topic_;
  std::map<std::string, Fate>& fates_;
  bool stopping_ = false;
  int running_ = 0;
  int committed_ = 0;
};

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

  std::map<std::string, int> seen;
  for (const ReadRecord& record : judge.ReadCommitted(topic, place.coordinator)) ++seen[*record.value];
  int committed = 0;
  for (const auto& [value, fate] : fates) {
    const int expected = fate == Load::Fate::kCommitted ? 1 : 0;
    committed += expected;
    EXPECT_EQ(seen[value], expected) << value;
    EXPECT_EQ(seen[value + "/second"], expected) << value;
  }
  std::size_t visible = 0;
  for (const auto& [value, times] : seen) visible += static_cast<std::size_t>(times);
  EXPECT_EQ(visible, static_cast<std::size_t>(2 * committed));
  EXPECT_GE(committed, 800);
}

}  // namespace
}  // namespace assent::kafka
