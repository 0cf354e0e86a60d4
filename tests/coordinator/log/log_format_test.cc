#include "coordinator/log/log_format.h"

#include <gtest/gtest.h>

#include "coordinator/log/log_folder.h"
#include "tests/coordinator/log/log_testing.h"

// The bytes on disk, as docs/log_format.md shows them. A difference means that logs of earlier versions are misread: do
// not change the expectation; raise log_format::kVersion and read both.
namespace assent {
namespace {

std::string Hex(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) {
    char digits[4];
    std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned char>(byte));
    text += digits;
  }
  return text;
}

// "family  key", and below it the value in lines of 32 bytes.
std::string Entry(const std::string& family, const std::string& key, std::string_view value) {
  std::string text = family + "  " + key + "\n";
  for (; !value.empty(); value.remove_prefix(std::min<std::size_t>(32, value.size()))) {
    text += "    " + Hex(value.substr(0, 32)) + "\n";
  }
  return text;
}

const TxnId kTxn{
    .coordinator = {.name = "orders", .incarnation = 0x5f0cab12d3e4f567}, .epoch = 3, .shard = 0, .sequence = 1042};

v1::DecisionRecord MakeDecision() {
  v1::DecisionRecord decision;
  decision.set_txn_id(kTxn.ToString());
  decision.set_outcome(v1::COMMITTED);
  decision.set_request_id("order-7");
  decision.set_request_hash("\x9f\x86");
  decision.set_decided_at_us(1'790'000'000'000'000);
  v1::BranchRecord& branch = *decision.add_branches();
  branch.set_branch("stock");
  branch.set_participant("orders-db");
  branch.set_token("\n\x03gid");
  return decision;
}

v1::HeuristicRecord MakeHeuristic() {
  v1::HeuristicRecord record;
  record.set_txn_id(kTxn.ToString());
  record.set_branch("stock");
  record.set_participant("orders-db");
  record.set_decided(v1::COMMITTED);
  record.set_what("42704");
  record.set_found_at_us(1'790'000'000'000'001);
  return record;
}

// The worked example of the document.
std::string Example() {
  using namespace log_format;  // NOLINT: names of the format
  const v1::DecisionRecord decision = MakeDecision();
  const std::string key = EncodeUint64(kTxn.sequence);
  const LogIdentity identity{.format = kVersion, .coordinator = kTxn.coordinator, .state = LogIdentity::State::kReady};
  return identity.ToText() + "\n" + Entry("active", Hex(key), decision.SerializeAsString()) +
         Entry("outcomes", Hex(key), EncodeOutcome(3'600'000'000, decision)) +
         Entry("requests", Hex("order-7") + " (\"order-7\")", key) +
         Entry("meta", Hex(kGroupKey) + " (\"group\")",
               EncodeGroup({.number = 2088, .uptime_us = 3'600'000'150, .outcome_bytes = 209'715})) +
         Entry("audit", Hex(AuditKey(kTxn.sequence, MakeHeuristic())), MakeHeuristic().SerializeAsString());
}

TEST(LogFormatTest, TheDocumentShowsTheBytesThatAreWritten) {
  const std::string document = ReadFile(std::string(ASSENT_DOCS) + "/log_format.md");
  ASSERT_FALSE(document.empty());
  EXPECT_NE(document.find("```\n" + Example() + "```\n"), std::string::npos) << Example();
}

TEST(LogFormatTest, NumbersAreInTheOrderOfTheirBytes) {
  EXPECT_EQ(Hex(log_format::EncodeUint64(0x0102030405060708)), "0102030405060708");
  EXPECT_LT(log_format::EncodeUint64(255), log_format::EncodeUint64(256));
  EXPECT_EQ(log_format::DecodeUint64(log_format::EncodeUint64(~0ull)), ~0ull);
  EXPECT_EQ(log_format::DecodeUint64("1234567"), std::nullopt);
}

TEST(LogFormatTest, AGroupReadsBackAndNothingElseIsOne) {
  const log_format::Group group{.number = 7, .uptime_us = 8, .outcome_bytes = 9};
  std::string bytes = log_format::EncodeGroup(group);
  EXPECT_EQ(log_format::DecodeGroup(bytes), group);
  EXPECT_EQ(log_format::DecodeGroup(bytes + "x"), std::nullopt);
  EXPECT_EQ(log_format::DecodeGroup(bytes.substr(1)), std::nullopt);
  bytes.back() = '\0';
  EXPECT_EQ(log_format::DecodeGroup(bytes), std::nullopt);
  EXPECT_EQ(log_format::kGroupTrailer.find('\0'), std::string_view::npos);
}

TEST(LogFormatTest, AnOutcomeReadsBackWithoutItsTokens) {
  const auto outcome = log_format::DecodeOutcome(log_format::EncodeOutcome(5, MakeDecision()));
  ASSERT_TRUE(outcome.has_value());
  EXPECT_EQ(outcome->decided_at_uptime_us, 5u);
  v1::DecisionRecord expected = MakeDecision();
  expected.mutable_branches(0)->clear_token();
  EXPECT_EQ(outcome->decision.SerializeAsString(), expected.SerializeAsString());
  EXPECT_FALSE(log_format::DecodeOutcome("short").has_value());
  EXPECT_FALSE(log_format::DecodeOutcome("12345678\xff\xff").has_value());
}

}  // namespace
}  // namespace assent
