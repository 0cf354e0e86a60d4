// A connection whose broker answers nonsense: it is dropped, and says which broker it was and what was wrong.
#include "participants/kafka/connection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/participants/kafka/scripted_broker.h"

namespace assent::kafka {
namespace {

using testing::HasSubstr;
using wire::ApiKey;
using Reply = ScriptedBroker::Reply;

constexpr std::chrono::seconds kPatience(10);

class ConnectionTest : public testing::Test {
 protected:
  // A connection asks for the brokers, and is answered so. Returns why it failed.
  std::string WhyFailed(ScriptedBroker::Script answer_to_metadata) {
    broker_.Always(ApiKey::kMetadata, std::move(answer_to_metadata));
    Connect({});
    Answer<wire::MetadataResponse> answer;
    int times_answered = 0;
    connection_->Call(wire::MetadataRequest(), [&](Answer<wire::MetadataResponse> given) {
      ++times_answered;
      answer = std::move(given);
    });
    RunUntil([&] { return times_answered > 0; });
    EXPECT_EQ(times_answered, 1);
    EXPECT_TRUE(connection_->failed());
    EXPECT_EQ(answer.delivery, Delivery::kLost);
    EXPECT_EQ(answer.message, failure_) << "who asked is told why";
    return failure_;
  }

  void Connect(const Security& security) {
    connection_ =
        std::make_shared<Connection>(loop_, options_, security, "unit", address_,
                                     Connection::Events{.ready = [this](const auto&) { ++times_ready_; },
                                                        .failed = [this](const std::string& why) { failure_ = why; }});
    connection_->Connect();
  }

  template <typename Condition>
  void RunUntil(Condition condition) {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (!condition() && std::chrono::steady_clock::now() < end) loop_.run_one_for(std::chrono::milliseconds(50));
  }

  std::string Named(const std::string& why) const { return absl::StrCat("broker ", address_.ToString(), ": ", why); }

  boost::asio::io_context loop_;
  ScriptedBroker broker_{loop_};
  KafkaOptions options_;
  const Address address_{"127.0.0.1", std::to_string(broker_.port())};
  std::shared_ptr<Connection> connection_;
  int times_ready_ = 0;
  std::string failure_;
};

ScriptedBroker::Script Always(Reply reply) {
  return [reply = std::move(reply)](const auto&) { return reply; };
}

TEST_F(ConnectionTest, AnAnswerToAnotherRequest) {
  EXPECT_EQ(WhyFailed(Always(ScriptedBroker::Raw(std::string("\0\0\0\5\0\1\0\0\0", 9)))),
            Named("the broker sent an answer to request 65536, which is not the oldest open one"));
}

TEST_F(ConnectionTest, AFrameOfNegativeLength) {
  EXPECT_EQ(WhyFailed(Always(ScriptedBroker::Raw("\xff\xff\xff\xfe"))),
            Named("the broker sent an answer of -2 bytes; between 4 and max_response_bytes = 67108864 are taken"));
}

TEST_F(ConnectionTest, AFrameThatIsTooShortForItsHeader) {
  EXPECT_THAT(WhyFailed(Always(ScriptedBroker::Raw(std::string("\0\0\0\3\0\0\0", 7)))),
              HasSubstr(Named("the broker sent an answer of 3 bytes; between 4 and")));
}

// It is refused at its first four bytes: nothing is kept, nor waited for.
TEST_F(ConnectionTest, AFrameLongerThanAnyAnswer) {
  options_.max_response_bytes = 1000;
  EXPECT_EQ(WhyFailed(Always(ScriptedBroker::Raw(std::string("\0\0\3\xe9", 4)))),
            Named("the broker sent an answer of 1001 bytes; between 4 and max_response_bytes = 1000 are taken"));
}

TEST_F(ConnectionTest, ABodyWithALengthThatReachesBeyondIt) {
  EXPECT_EQ(
      WhyFailed(Always({.bytes = std::string("\0\0\0\0\x7f", 5)})),
      Named("the broker's answer to Metadata (version 12, 6 bytes) makes no sense: a field does not fit into it"));
}

TEST_F(ConnectionTest, ABodyThatGoesOnBehindItsEnd) {
  EXPECT_THAT(WhyFailed([this](const ScriptedBroker::Request& request) {
                Reply reply = broker_.Succeed(request);
                reply.bytes += "more";
                return reply;
              }),
              HasSubstr("bytes) makes no sense: it ends 4 bytes before they do"));
}

TEST_F(ConnectionTest, NonsenseInTheGreeting) {
  broker_.Always(ApiKey::kApiVersions, Always(ScriptedBroker::Raw("HTTP/1.1 400 Bad Request\r\n\r\n")));
  Connect({});
  RunUntil([&] { return connection_->failed(); });
  EXPECT_THAT(failure_, HasSubstr(Named("the broker sent an answer of 1213486160 bytes")));
  EXPECT_EQ(times_ready_, 0);
}

// Not nonsense: it is longer than any clock counts.
TEST_F(ConnectionTest, ASessionMayLastForEver) {
  setenv("ASSENT_TEST_PASSWORD", "wonder-land", 1);
  options_.sasl_password_env = "ASSENT_TEST_PASSWORD";
  broker_.Always(ApiKey::kSaslHandshake, Always({.bytes = std::string("\0\0\0\0\0\0", 6)}));
  wire::Encoder authenticated;
  authenticated.Int16(0);
  authenticated.CompactNullableString(std::nullopt);
  authenticated.CompactString("");
  authenticated.Int64(INT64_MAX);
  authenticated.NoTaggedFields();
  broker_.Always(ApiKey::kSaslAuthenticate, Always({.bytes = authenticated.bytes()}));
  Connect({.sasl_mechanism = "PLAIN", .user = "alice"});
  RunUntil([&] { return times_ready_ > 0 || connection_->failed(); });
  EXPECT_EQ(failure_, "");
  loop_.run_for(std::chrono::milliseconds(50));
  EXPECT_EQ(broker_.Count(ApiKey::kSaslAuthenticate), 1u);
  connection_->Close();
}

}  // namespace
}  // namespace assent::kafka
