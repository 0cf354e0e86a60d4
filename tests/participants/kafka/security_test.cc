// Brokers as they are secured in earnest: TLS, SASL and access lists, on a real one with a listener of each kind.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <cstdlib>
#include <fstream>
#include <memory>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/coordinator/server/test_certificates.h"
#include "tests/participants/kafka/conversation.h"
#include "tests/participants/kafka/own_kafka.h"
#include "tests/participants/kafka/participant_under_test.h"
#include "tests/participants/kafka/plain_kafka.h"

namespace assent::kafka {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr char kPassword[] = "wonder-land";  // of alice and bob
constexpr char kWrong[] = "looking-glass";

std::string Write(const std::string& path, const std::string& text) {
  std::ofstream(path) << text;
  return path;
}

// Gives a user a right, by CreateAcls: librdkafka's knows no transactional ids.
struct AllowRequest {
  static constexpr auto kKey = static_cast<wire::ApiKey>(30);
  static constexpr std::int16_t kVersion = 3;
  enum class Resource : std::int8_t { kTopic = 2, kTransactionalId = 5 };

  std::string user;
  Resource resource = Resource::kTopic;
  std::string prefix;  // of the resource's name

  static std::size_t SizeHint() { return 0; }
  void Encode(wire::Encoder& out) const {
    out.CompactArrayLength(1);
    out.Int8(static_cast<std::int8_t>(resource));
    out.CompactString(prefix);
    out.Int8(4);  // prefixed
    out.CompactString("User:" + user);
    out.CompactString("*");
    out.Int8(4);  // Write, which implies Describe
    out.Int8(3);  // allowed
    out.NoTaggedFields();
    out.NoTaggedFields();
  }

  struct Response {
    std::int16_t error_code = -1;
    static Response Decode(wire::Decoder& in) {
      Response response;
      in.Int32();  // throttled for
      if (in.CompactArrayLength(4) != 1) return response;
      response.error_code = in.Int16();
      in.CompactNullableString();
      in.SkipTaggedFields();
      in.SkipTaggedFields();
      return response;
    }
  };
};

// The broker, and the files of its clients. Alice may do everything, bob nothing, carol write.
struct SecuredBroker {
  SecuredBroker() {
    std::string name = testing::TempDir() + "/assent_kafka_security_XXXXXX";
    folder = mkdtemp(name.data());
    const TestCertificate broker = authority.Sign("broker.example");
    const std::string keys = Write(folder + "/broker.pem", broker.key + broker.certificate);
    ca = Write(folder + "/ca.pem", authority.certificate());
    password = Write(folder + "/password", std::string(kPassword) + "\n");
    OwnKafkaOptions options;
    options.listeners = {{"MUTUAL", "SSL"}, {"BOTH", "SASL_SSL"}, {"CLEAR", "SASL_PLAINTEXT"}, {"EXPIRED", "SSL"}};
    const std::string jaas = "org.apache.kafka.common.security.";
    for (const std::string listener : {"mutual", "both"}) {
      const std::string prefix = absl::StrCat("listener.name.", listener, ".ssl.");
      options.settings.push_back(prefix + "keystore.type=PEM");
      options.settings.push_back(prefix + "keystore.location=" + keys);
      options.settings.push_back(prefix + "truststore.type=PEM");
      options.settings.push_back(prefix + "truststore.location=" + ca);
    }
    const TestCertificate expired = authority.Sign("broker.example", -30);
    options.settings.push_back("listener.name.expired.ssl.keystore.type=PEM");
    options.settings.push_back("listener.name.expired.ssl.keystore.location=" +
                               Write(folder + "/expired.pem", expired.key + expired.certificate));
    options.settings.push_back("listener.name.mutual.ssl.client.auth=required");
    options.settings.push_back("listener.name.both.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512");
    options.settings.push_back(absl::StrCat("listener.name.both.plain.sasl.jaas.config=", jaas,
                                            "plain.PlainLoginModule required user_alice=\"", kPassword,
                                            "\" user_bob=\"", kPassword, "\" user_carol=\"", kPassword, "\";"));
    options.settings.push_back("listener.name.clear.sasl.enabled.mechanisms=SCRAM-SHA-256,SCRAM-SHA-512");
    options.settings.push_back("listener.name.clear.connections.max.reauth.ms=1500");
    for (const std::string place : {"both.scram-sha-512", "clear.scram-sha-256", "clear.scram-sha-512"}) {
      options.settings.push_back(
          absl::StrCat("listener.name.", place, ".sasl.jaas.config=", jaas, "scram.ScramLoginModule required;"));
    }
    options.settings.push_back("authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer");
    options.settings.push_back("super.users=User:ANONYMOUS;User:alice;User:CN=service");
    for (const char* mechanism : {"SCRAM-SHA-256", "SCRAM-SHA-512"}) {
      options.scram_users.push_back(absl::StrCat(mechanism, "=[name=alice,password=", kPassword, "]"));
    }
    kafka = std::make_unique<OwnKafka>(options);
  }
  ~SecuredBroker() {
    kafka.reset();
    std::system(absl::StrCat("rm -rf '", folder, "'").c_str());
  }

  TestAuthority authority{"assent tests"};
  TestAuthority stranger{"somebody else"};
  std::string folder;
  std::string ca;
  std::string password;
  std::unique_ptr<OwnKafka> kafka;
};

class SecurityTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    broker_ = new SecuredBroker;
    logger_before_ = spdlog::default_logger();
    auto everything = std::make_shared<spdlog::sinks::ostream_sink_mt>(logged_);
    spdlog::set_default_logger(std::make_shared<spdlog::logger>("", std::move(everything)));
    spdlog::set_level(spdlog::level::trace);
  }
  static void TearDownTestSuite() {
    spdlog::set_default_logger(std::exchange(logger_before_, nullptr));
    delete std::exchange(broker_, nullptr);
    EXPECT_THAT(logged_.str(), AllOf(HasSubstr("can be reached"), Not(HasSubstr(kPassword)), Not(HasSubstr(kWrong))))
        << "secrets are never logged";
  }
  void SetUp() override { ASSERT_EQ(broker_->kafka->failure(), ""); }

  KafkaOptions At(const std::string& listener) const {
    KafkaOptions options;
    options.name = "events";
    options.bootstrap_servers = {broker_->kafka->bootstrap_server(listener)};
    return options;
  }
  KafkaOptions Mutual() const { return Mutual(broker_->authority.Sign("service")); }
  KafkaOptions Mutual(const TestCertificate& client) const {
    KafkaOptions options = At("MUTUAL");
    options.tls = true;
    options.tls_ca = broker_->ca;
    options.tls_certificate = Write(broker_->folder + "/client.crt", client.certificate);
    options.tls_key = Write(broker_->folder + "/client.key", client.key);
    return options;
  }
  KafkaOptions Sasl(const std::string& listener, const std::string& mechanism,
                    const std::string& user = "alice") const {
    KafkaOptions options = At(listener);
    options.tls = listener == "BOTH";
    if (options.tls) options.tls_ca = broker_->ca;
    options.sasl_mechanism = mechanism;
    options.sasl_user = user;
    options.sasl_password_file = broker_->password;
    return options;
  }

  static Finish WriteOne(ParticipantUnderTest& process, const std::string& topic) {
    const BranchId branch = process.Open();
    const ExecuteOutcome outcome = process.Execute(branch, AnOperation({ARecord(topic, "v")}));
    EXPECT_TRUE(outcome.ok) << outcome.error.message;
    const Vote vote = process.Prepare(branch);
    EXPECT_EQ(vote.kind, Vote::Kind::kYes) << vote.error.message;
    Finish finish = process.Commit(branch, vote.token);
    process->Forget(branch, vote.token);
    return finish;
  }

  void ExpectWorks(const KafkaOptions& options) {
    PlainKafka judge(broker_->kafka->bootstrap_server());
    const std::string topic = judge.CreateTopic(1);
    ParticipantUnderTest process(options, {});
    process.Start();
    ASSERT_TRUE(process.RunUntil([&] { return process.times_available() > 0; })) << process->health().message;
    EXPECT_EQ(WriteOne(process, topic).kind, Finish::Kind::kDone);
    EXPECT_EQ(judge.ReadCommitted(topic, process.place().coordinator).size(), 1u);
  }

  // Why a participant with these options does not come up.
  std::string WhyNot(const KafkaOptions& options) {
    ParticipantUnderTest process(options, {});
    process.Start();
    // Connections end as soon as the broker has something against them.
    EXPECT_TRUE(process.RunUntil([&] {
      const std::string message = process->health().message;
      return message.find("is not connected yet") == std::string::npos &&
             message.find("has not said yet") == std::string::npos;
    }));
    EXPECT_FALSE(process->health().available);
    EXPECT_THAT(process->health().message, Not(HasSubstr(kPassword)));
    return process->health().message;
  }

  static SecuredBroker* broker_;
  static std::ostringstream logged_;
  static std::shared_ptr<spdlog::logger> logger_before_;
};

SecuredBroker* SecurityTest::broker_ = nullptr;
std::ostringstream SecurityTest::logged_;
std::shared_ptr<spdlog::logger> SecurityTest::logger_before_;

// ---- What works -----------------------------------------------------------------------------------------------------

TEST_F(SecurityTest, TlsWithAClientCertificate) { ExpectWorks(Mutual()); }
TEST_F(SecurityTest, PlainByTls) { ExpectWorks(Sasl("BOTH", "PLAIN")); }
TEST_F(SecurityTest, Scram512ByTls) { ExpectWorks(Sasl("BOTH", "SCRAM-SHA-512")); }
TEST_F(SecurityTest, Scram256InTheClear) { ExpectWorks(Sasl("CLEAR", "SCRAM-SHA-256")); }

TEST_F(SecurityTest, APasswordFromTheEnvironment) {
  KafkaOptions options = Sasl("CLEAR", "SCRAM-SHA-512");
  options.sasl_password_file.clear();
  options.sasl_password_env = "ASSENT_TEST_KAFKA_PASSWORD";
  setenv("ASSENT_TEST_KAFKA_PASSWORD", kPassword, 1);
  ExpectWorks(options);
  unsetenv("ASSENT_TEST_KAFKA_PASSWORD");
}

TEST_F(SecurityTest, TheBrokerIsToldAgainWhoWeAreBeforeItWantsToKnow) {
  PlainKafka judge(broker_->kafka->bootstrap_server());
  const std::string topic = judge.CreateTopic(1);
  KafkaOptions options = Sasl("CLEAR", "SCRAM-SHA-256");
  options.connect_timeout = absl::Seconds(1);  // of each time, not of the connection's whole life
  options.request_timeout = absl::Seconds(1);
  ParticipantUnderTest process(options, {});
  process.Start();
  ASSERT_TRUE(process.RunUntil([&] { return process.times_available() > 0; }));
  process.RunUntil([] { return false; }, std::chrono::seconds(4));  // idle
  EXPECT_EQ(process.times_available(), 1) << process->health().message;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(3);
  std::size_t written = 0;
  for (; std::chrono::steady_clock::now() < end; ++written) {
    ASSERT_EQ(WriteOne(process, topic).kind, Finish::Kind::kDone);
    process.RunUntil([] { return false; }, std::chrono::milliseconds(20));
  }
  EXPECT_EQ(process.times_available(), 1) << "no connection was lost on the way";
  EXPECT_EQ(judge.ReadCommitted(topic, process.place().coordinator).size(), written);
}

// ---- What does not, and why -----------------------------------------------------------------------------------------

TEST_F(SecurityTest, AWrongPasswordNamesTheUserAndWhereThePasswordIs) {
  for (const auto& [listener, mechanism] : {std::pair("BOTH", "PLAIN"), {"CLEAR", "SCRAM-SHA-256"}}) {
    KafkaOptions options = Sasl(listener, mechanism);
    options.sasl_password_file = Write(broker_->folder + "/wrong", kWrong);
    const std::string why = WhyNot(options);
    EXPECT_THAT(why, HasSubstr(absl::StrCat("refuses sasl_user = alice by ", mechanism)));
    EXPECT_THAT(why, HasSubstr("sasl_password_file"));
    EXPECT_THAT(why, Not(HasSubstr(kWrong)));
  }
}

TEST_F(SecurityTest, AMechanismThatTheBrokerDoesNotOfferNamesThoseThatItDoes) {
  EXPECT_THAT(WhyNot(Sasl("CLEAR", "PLAIN")),
              AllOf(HasSubstr("it offers: "), HasSubstr("SCRAM-SHA-256"), HasSubstr("SCRAM-SHA-512")));
}

TEST_F(SecurityTest, ABrokerOfAnotherAuthorityIsNotBelieved) {
  KafkaOptions options = Sasl("BOTH", "PLAIN");
  options.tls_ca = Write(broker_->folder + "/stranger.pem", broker_->stranger.certificate());
  EXPECT_THAT(WhyNot(options), HasSubstr("see tls_ca"));
}

TEST_F(SecurityTest, ABrokerWhoseCertificateHasExpiredIsNotBelieved) {
  KafkaOptions options = At("EXPIRED");
  options.tls = true;
  options.tls_ca = broker_->ca;
  EXPECT_THAT(WhyNot(options), HasSubstr("certificate has expired"));
}

TEST_F(SecurityTest, ABrokerOfAnotherNameIsNotBelieved) {
  KafkaOptions options = Sasl("BOTH", "PLAIN");
  const std::string port = options.bootstrap_servers[0].substr(options.bootstrap_servers[0].rfind(':'));
  options.bootstrap_servers = {"localhost" + port};  // the certificate has broker.example and 127.0.0.1
  EXPECT_THAT(WhyNot(options), HasSubstr("does not name \"localhost\""));
}

TEST_F(SecurityTest, AClientCertificateThatIsMissingForeignOrExpiredIsNamed) {
  KafkaOptions none = Mutual();
  none.tls_certificate.clear();
  none.tls_key.clear();
  EXPECT_THAT(WhyNot(none), HasSubstr("tls_certificate"));
  EXPECT_THAT(WhyNot(Mutual(broker_->stranger.Sign("service"))), HasSubstr("tls_certificate"));
  EXPECT_THAT(WhyNot(Mutual(broker_->authority.Sign("service", -30))), HasSubstr("tls_certificate"));
}

TEST_F(SecurityTest, TheWrongKindOfPortIsNamed) {
  KafkaOptions tls = Mutual();
  tls.bootstrap_servers = {broker_->kafka->bootstrap_server()};
  EXPECT_THAT(WhyNot(tls), HasSubstr("does not speak TLS on this port"));
  EXPECT_THAT(WhyNot(At("MUTUAL")), HasSubstr("speaks TLS on this port: see tls"));
  EXPECT_THAT(WhyNot(At("CLEAR")), HasSubstr("does it want TLS, or SASL"));
}

TEST_F(SecurityTest, WhatTheAccessListDeniesIsNamedWithWhatItNeeds) {
  PlainKafka judge(broker_->kafka->bootstrap_server());
  const std::string topic = judge.CreateTopic(1);
  ParticipantUnderTest process(Sasl("BOTH", "PLAIN", "bob"), {});
  process.Start();
  ASSERT_TRUE(process.RunUntil([&] { return process.times_available() > 0; }));
  const BranchId branch = process.Open();
  const ExecuteOutcome outcome = process.Execute(branch, AnOperation({ARecord(topic, "v")}));
  EXPECT_EQ(outcome.error.kafka_error_name, "TOPIC_AUTHORIZATION_FAILED");
  EXPECT_THAT(outcome.error.message, HasSubstr("needs Write and Describe on it"));
  EXPECT_EQ(process.Prepare(branch).kind, Vote::Kind::kNo);
}

TEST_F(SecurityTest, WithoutReadBranchesEndAndOneWarningSaysWhatIsNotLookedForThen) {
  PlainKafka judge(broker_->kafka->bootstrap_server());
  const std::string topic = judge.CreateTopic(2);
  Conversation admin(broker_->kafka->bootstrap_server());
  for (const AllowRequest& allow : {AllowRequest{"carol", AllowRequest::Resource::kTransactionalId, "assent-"},
                                    AllowRequest{"carol", AllowRequest::Resource::kTopic, topic}}) {
    ASSERT_EQ(admin.Ask(allow).error_code, 0);
  }
  const std::size_t said_before = logged_.str().size();
  KafkaOptions options = Sasl("BOTH", "PLAIN", "carol");
  options.unknown_topic_age = absl::ZeroDuration();
  ParticipantUnderTest process(options, {});
  process.Start();
  ASSERT_TRUE(process.RunUntil([&] { return process.times_available() > 0; }));
  ASSERT_TRUE(process.RunUntil([&] {  // until the access list is in force
    return process.Execute(process.Open(absl::Seconds(5)), AnOperation({ARecord(topic, "v")})).ok;
  }));
  // Just started, it wants to see the markers of each.
  for (int i = 0; i < 3; ++i) EXPECT_EQ(WriteOne(process, topic).kind, Finish::Kind::kDone);
  EXPECT_EQ(judge.ReadCommitted(topic, process.place().coordinator).size(), 3u);
  const std::string said = logged_.str().substr(said_before);
  const std::string refused = "DescribeProducers is refused with TOPIC_AUTHORIZATION_FAILED";
  EXPECT_THAT(said, AllOf(HasSubstr(refused), HasSubstr(topic), HasSubstr("Allow this client Read on the topics")));
  EXPECT_EQ(said.find(refused), said.rfind(refused)) << "once";
}

TEST_F(SecurityTest, ATransactionalIdThatTheAccessListDeniesIsNamedWithWhatItNeeds) {
  PlainKafka judge(broker_->kafka->bootstrap_server());
  const std::string topic = judge.CreateTopic(1);
  judge.AllowTopic("bob", topic);
  KafkaOptions options = Sasl("BOTH", "PLAIN", "bob");
  options.unknown_topic_age = absl::ZeroDuration();
  ParticipantUnderTest process(options, {});
  process.Start();
  ASSERT_TRUE(process.RunUntil([&] { return process.times_available() > 0; }));
  BranchId branch;
  ASSERT_TRUE(process.RunUntil([&] {  // until the access list is in force
    branch = process.Open(absl::Seconds(5));
    return process.Execute(branch, AnOperation({ARecord(topic, "v")})).ok;
  }));
  const Vote vote = process.Prepare(branch);
  EXPECT_EQ(vote.kind, Vote::Kind::kNo);
  EXPECT_THAT(vote.error.message,
              AllOf(HasSubstr("TRANSACTIONAL_ID_AUTHORIZATION_FAILED"), HasSubstr("begin with"), HasSubstr("assent-")));
}

TEST(SecurityOptionsTest, WhatDoesNotGoTogetherIsRefusedByTheNameOfTheOption) {
  const auto refusal = [](const std::function<void(KafkaOptions&)>& change) {
    KafkaOptions options;
    options.name = "events";
    options.bootstrap_servers = {"b:1"};
    change(options);
    boost::asio::io_context loop;
    const auto made =
        MakeKafkaParticipant(options, {.loop = loop, .clock = SystemClock(), .coordinator = ACoordinator()});
    EXPECT_EQ(made.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(made.status().message());
  };
  EXPECT_THAT(refusal([](auto& o) { o.tls_ca = "x"; }), HasSubstr("are for tls = true"));
  EXPECT_THAT(refusal([](auto& o) { o.tls = true, o.tls_ca = "/nowhere.pem"; }), HasSubstr("tls_ca = /nowhere.pem"));
  EXPECT_THAT(refusal([](auto& o) { o.tls = true, o.tls_key = "x"; }), HasSubstr("go together"));
  EXPECT_THAT(refusal([](auto& o) { o.sasl_user = "x"; }), HasSubstr("there is none"));
  EXPECT_THAT(refusal([](auto& o) { o.sasl_mechanism = "GSSAPI"; }), HasSubstr("GSSAPI"));
  EXPECT_THAT(refusal([](auto& o) { o.sasl_mechanism = "PLAIN"; }), HasSubstr("sasl_user is missing"));
  EXPECT_THAT(refusal([](auto& o) { o.sasl_mechanism = "PLAIN", o.sasl_user = "x"; }),
              HasSubstr("sasl_password_file or"));
  EXPECT_THAT(
      refusal([](auto& o) { o.sasl_mechanism = "PLAIN", o.sasl_user = "x", o.sasl_password_file = "/nowhere"; }),
      HasSubstr("/nowhere"));
}

}  // namespace
}  // namespace assent::kafka
