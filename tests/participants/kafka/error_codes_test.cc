#include "participants/kafka/error_codes.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

namespace assent::kafka {
namespace {

TEST(ErrorCodesTest, TheTableHasEveryCodeOnceAndInOrder) {
  std::int16_t expected = -1;
  std::set<std::string_view> names;
  for (const ErrorCode& entry : AllErrorCodes()) {
    EXPECT_EQ(entry.code, expected++);
    EXPECT_TRUE(names.insert(entry.name).second) << entry.name;
    EXPECT_FALSE(entry.why.empty()) << entry.name;
    EXPECT_EQ(&FindErrorCode(entry.code), &entry);
  }
  EXPECT_EQ(expected, 134);
}

TEST(ErrorCodesTest, ACodeThatIsNotInTheTableSaysNothingOfWhatWasDone) {
  EXPECT_EQ(FindErrorCode(2000).meaning, ErrorMeaning::kUnknown);
  EXPECT_EQ(FindErrorCode(-2).meaning, ErrorMeaning::kUnknown);
}

// Of these it matters most.
TEST(ErrorCodesTest, WhatMayHaveBeenDoneIsNeverTakenForNotDone) {
  EXPECT_EQ(FindErrorCode(7).meaning, ErrorMeaning::kUnknown);   // REQUEST_TIMED_OUT
  EXPECT_EQ(FindErrorCode(20).meaning, ErrorMeaning::kUnknown);  // NOT_ENOUGH_REPLICAS_AFTER_APPEND
  EXPECT_EQ(FindErrorCode(13).meaning, ErrorMeaning::kUnknown);  // NETWORK_EXCEPTION
  EXPECT_EQ(FindErrorCode(-1).meaning, ErrorMeaning::kUnknown);
  EXPECT_EQ(FindErrorCode(46).meaning, ErrorMeaning::kDone);  // DUPLICATE_SEQUENCE_NUMBER
}

// Written down a second time, so that no meaning changes by accident. What is not here is kNo.
TEST(ErrorCodesTest, EachHasTheMeaningThatItIsToHave) {
  const std::map<ErrorMeaning, std::set<std::int16_t>> expected = {
      {ErrorMeaning::kDone, {0, 46}},
      {ErrorMeaning::kUnknown, {-1, 7, 13, 20}},
      {ErrorMeaning::kRetry, {2, 3, 5, 6, 8, 9, 14, 15, 16, 19, 41, 51, 52, 56, 72, 74, 75, 89, 129}},
      {ErrorMeaning::kFatal, {45, 47, 48, 49, 59, 90, 105, 120}},
  };
  std::map<ErrorMeaning, std::set<std::int16_t>> found;
  for (const ErrorCode& entry : AllErrorCodes()) {
    if (entry.meaning != ErrorMeaning::kNo) found[entry.meaning].insert(entry.code);
  }
  EXPECT_EQ(found, expected);
}

TEST(ErrorCodesTest, AnErrorForCallersNamesTheCodeAndWhatFailed) {
  const BranchError error = ErrorOfCode(10, "topic \"t\"", "broker's words");
  EXPECT_EQ(error.kafka_error, 10);
  EXPECT_EQ(error.kafka_error_name, "MESSAGE_TOO_LARGE");
  EXPECT_FALSE(error.retryable);
  EXPECT_EQ(error.message.find("topic \"t\""), 0u);
  EXPECT_NE(error.message.find("max.message.bytes"), std::string::npos);
  EXPECT_NE(error.message.find("broker's words"), std::string::npos);
  EXPECT_TRUE(ErrorOfCode(47, "x").retryable);
  EXPECT_TRUE(ErrorOfCode(19, "x").retryable);
}

}  // namespace
}  // namespace assent::kafka
