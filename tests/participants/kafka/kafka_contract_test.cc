// The contract of every participant, on a real broker.
#include <algorithm>
#include <cstdlib>
#include <set>

#include "participants/kafka/kafka_participant.h"
#include "tests/contract/participant_contract.h"
#include "tests/participants/kafka/own_kafka.h"
#include "tests/participants/kafka/plain_kafka.h"

namespace assent::kafka {
namespace {

// A Kafka broker behind the contract suite: a topic of the test's own on the shared one, or a broker of its own.
class KafkaHarness : public ParticipantHarness {
 public:
  static std::unique_ptr<KafkaHarness> OnSharedServer(std::string& why_not) {
    const char* const server = std::getenv("ASSENT_TEST_KAFKA");
    if (server == nullptr) {
      why_not = "ASSENT_TEST_KAFKA is not set: host:port of a broker";
      return nullptr;
    }
    return std::unique_ptr<KafkaHarness>(new KafkaHarness(server, nullptr));
  }

  static std::unique_ptr<KafkaHarness> OnOwnServer(std::string& why_not) {
    if (std::getenv("ASSENT_TEST_KAFKA_LIBS") == nullptr) {
      why_not = "ASSENT_TEST_KAFKA_LIBS is not set: the folder of Kafka's jars";
      return nullptr;
    }
    auto own = std::make_unique<OwnKafka>();
    if (!own->failure().empty()) {
      ADD_FAILURE() << own->failure();
      why_not = own->failure();
      return nullptr;
    }
    const std::string server = own->bootstrap_server();
    return std::unique_ptr<KafkaHarness>(new KafkaHarness(server, std::move(own)));
  }

  ~KafkaHarness() override {
    if (!OwnsServer()) judge_.DeleteTopic(topic_);
  }

  std::unique_ptr<Participant> Make(const ParticipantContext& context) override {
    coordinator_ = context.coordinator;
    auto made = MakeKafkaParticipant(options_, context);
    EXPECT_TRUE(made.ok()) << made.status();
    return std::move(made).value();
  }

  v1::BranchOptions GoodOptions() override {
    v1::BranchOptions options;
    options.mutable_kafka();
    return options;
  }
  v1::BranchOptions OptionsOfAnotherKind() override {
    v1::BranchOptions options;
    options.mutable_sql()->set_isolation(v1::SERIALIZABLE);
    return options;
  }
  v1::Operation GoodOperation(const std::string& value) override { return Write(topic_, value); }
  v1::Operation BadOperation() override { return Write("topic-that-does-not-exist", "v"); }
  v1::Operation OperationOfAnotherKind() override {
    v1::Operation operation;
    operation.mutable_sql()->add_statements()->set_sql("SELECT 1");
    return operation;
  }

  bool IsVisible(const std::string& value) override {
    const auto records = judge_.ReadCommitted(topic_, coordinator_);
    return std::any_of(records.begin(), records.end(), [&](const ReadRecord& record) { return record.value == value; });
  }

  int CountPrepared(const CoordinatorId& coordinator) override {
    const auto states = judge_.TransactionStates(coordinator);
    return static_cast<int>(
        std::count_if(states.begin(), states.end(), [](const auto& entry) { return entry.second == "Ongoing"; }));
  }

  bool OwnsServer() const override { return own_ != nullptr; }
  void StopServer() override { own_->Stop(); }
  void StartServer() override { own_->Start(); }

 private:
  KafkaHarness(const std::string& server, std::unique_ptr<OwnKafka> own)
      : own_(std::move(own)), judge_(server), topic_(judge_.CreateTopic(3)) {
    options_.name = "broker";
    options_.bootstrap_servers = {server};
  }

  static v1::Operation Write(const std::string& topic, const std::string& value) {
    v1::Operation operation;
    v1::KafkaRecord& record = *operation.mutable_kafka()->add_records();
    record.set_topic(topic);
    record.set_value(value);
    return operation;
  }

  std::unique_ptr<OwnKafka> own_;
  KafkaOptions options_;
  PlainKafka judge_;
  std::string topic_;
  CoordinatorId coordinator_;
};

const ContractParameters kKafka = {.shared = [](std::string& why_not) { return KafkaHarness::OnSharedServer(why_not); },
                                   .owned = [](std::string& why_not) { return KafkaHarness::OnOwnServer(why_not); }};

}  // namespace
}  // namespace assent::kafka

namespace assent {

INSTANTIATE_TEST_SUITE_P(Kafka, ParticipantContract, ::testing::Values(kafka::kKafka),
                         [](const auto&) { return "SharedServer"; });
INSTANTIATE_TEST_SUITE_P(Kafka, ParticipantOutageContract, ::testing::Values(kafka::kKafka),
                         [](const auto&) { return "OwnServer"; });

}  // namespace assent
