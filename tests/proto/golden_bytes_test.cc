#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <string>

#include "assent/v1/log.pb.h"
#include "assent/v1/token.pb.h"

// What earlier versions have written into decision logs must read the same for ever. A failure means that a field was
// renumbered or has another type: give the new meaning a new number instead, and leave the bytes here as they are.
namespace assent::v1 {
namespace {

std::string FromHex(const std::string& hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  }
  return bytes;
}

std::string ToHex(const std::string& bytes) {
  std::string hex;
  for (const char byte : bytes) {
    char digits[4];
    std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned char>(byte));
    hex += digits;
  }
  return hex;
}

// The bytes mean the message, and the message is written as the bytes.
template <typename Message>
void ExpectGolden(const std::string& text, const std::string& hex) {
  Message message;
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message));
  EXPECT_EQ(ToHex(message.SerializeAsString()), hex);
  Message read;
  ASSERT_TRUE(read.ParseFromString(FromHex(hex)));
  EXPECT_EQ(read.DebugString(), message.DebugString());
}

TEST(GoldenBytesTest, DecisionRecord) {
  ExpectGolden<DecisionRecord>(R"(
      txn_id: "a-1" outcome: COMMITTED request_id: "r" request_hash: "\001\002" decided_at_us: 300
      branches { branch: "b" participant: "p" token: "\377" })",
                               "0a03612d3110021a01722202010228ac0232090a01621201701a01ff");
  ExpectGolden<DecisionRecord>(R"(
      txn_id: "a-1" outcome: ABORTED
      failure { txn_id: "a-1" outcome: ABORTED branch: "b" sqlstate: "23505" kafka_error: 3 kafka_error_name: "K"
                retryable: true reason: "why" })",
                               "0a03612d3110033a1d0a03612d3110031a016222053233353035280332014b38014203776879");
}

TEST(GoldenBytesTest, HeuristicRecord) {
  ExpectGolden<HeuristicRecord>(
      R"(txn_id: "a-1" branch: "b" participant: "p" token: "t" decided: COMMITTED what: "w" found_at_us: 1)",
      "0a03612d311201621a017022017428023201773801");
  ExpectGolden<HeuristicRecord>(
      R"(txn_id: "a-1" branch: "b" participant: "p" token: "t" decided: ABORTED what: "w" found_at_us: 1
         forced: COMMITTED forced_by: "a" done: true)",
      "0a03612d311201621a01702201742803320177380140024a01615001");
}

TEST(GoldenBytesTest, PostgresToken) {
  ExpectGolden<PostgresToken>(
      R"(gid: "g" transaction_id: 1 system_identifier: 18446744073709551615 timeline: 2 database: "d")",
      "0a0167100118ffffffffffffffffff0120022a0164");
}

TEST(GoldenBytesTest, KafkaToken) {
  ExpectGolden<KafkaToken>(R"(
      transactional_id: "t" producer_id: 9223372036854775807 epoch: 32767 version: KAFKA_TRANSACTION_V2
      topics { topic: "o" partitions: 0 partitions: 300 })",
                           "0a017410ffffffffffffffff7f18ffff0120022a080a016f120300ac02");
}

}  // namespace
}  // namespace assent::v1
