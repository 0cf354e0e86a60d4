#include "participants/kafka/sasl_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"

namespace assent::kafka {
namespace {

// What a server says first: with the client's nonce, as SCRAM wants it, and so many iterations.
absl::StatusOr<std::string> AnswerWithIterations(const std::string& iterations) {
  auto client = SaslClient::Make("SCRAM-SHA-256", "127.0.0.1", "alice", "wonder-land");
  if (!client.ok()) return client.status();
  const auto first = (*client)->Start();
  if (!first.ok()) return first.status();
  const std::string nonce = first->substr(first->find(",r=") + 3);
  return (*client)->Step(absl::StrCat("r=", nonce, "more,s=c2FsdHNhbHQ=,i=", iterations));
}

TEST(SaslClientTest, ScramHashesAsOftenAsTheServerSays) {
  const auto proof = AnswerWithIterations("4096");
  ASSERT_TRUE(proof.ok()) << proof.status();
  EXPECT_THAT(*proof, testing::HasSubstr(",p="));
}

TEST(SaslClientTest, AServerDoesNotKeepTheThreadHashingForHours) {
  for (const char* iterations : {"4000000000", "99999999999999999999999"}) {
    const auto proof = AnswerWithIterations(iterations);
    EXPECT_EQ(proof.status().code(), absl::StatusCode::kUnauthenticated);
    EXPECT_THAT(std::string(proof.status().message()), testing::HasSubstr("wants the password hashed"));
  }
}

}  // namespace
}  // namespace assent::kafka
