#include "participants/postgres/errors.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace assent::postgres {
namespace {

TEST(CodeOfSqlstateTest, EachClassHasItsCode) {
  const std::vector<std::pair<std::string, absl::StatusCode>> cases = {
      {"08006", absl::StatusCode::kUnavailable},        {"0A000", absl::StatusCode::kUnimplemented},
      {"22012", absl::StatusCode::kInvalidArgument},    {"23502", absl::StatusCode::kFailedPrecondition},
      {"23503", absl::StatusCode::kFailedPrecondition}, {"23505", absl::StatusCode::kAlreadyExists},
      {"25P02", absl::StatusCode::kFailedPrecondition}, {"28P01", absl::StatusCode::kPermissionDenied},
      {"40001", absl::StatusCode::kFailedPrecondition}, {"40P01", absl::StatusCode::kFailedPrecondition},
      {"42501", absl::StatusCode::kPermissionDenied},   {"42601", absl::StatusCode::kInvalidArgument},
      {"42P01", absl::StatusCode::kInvalidArgument},    {"53200", absl::StatusCode::kResourceExhausted},
      {"54000", absl::StatusCode::kResourceExhausted},  {"55P03", absl::StatusCode::kFailedPrecondition},
      {"57014", absl::StatusCode::kDeadlineExceeded},   {"57P01", absl::StatusCode::kUnavailable},
      {"P0001", absl::StatusCode::kFailedPrecondition}, {"XX000", absl::StatusCode::kInternal},
      {"ZZ999", absl::StatusCode::kFailedPrecondition}, {"", absl::StatusCode::kUnknown}};
  for (const auto& [sqlstate, code] : cases) EXPECT_EQ(CodeOfSqlstate(sqlstate), code) << sqlstate;
}

TEST(IsRetryableTest, OnlyWhatMaySucceedWithTheSameWorkIs) {
  for (const std::string sqlstate : {"40001", "40P01", "55P03", "08006", "53300", "57P01", "57P03"}) {
    EXPECT_TRUE(IsRetryable(sqlstate)) << sqlstate;
  }
  for (const std::string sqlstate : {"23505", "42601", "22012", "57014", "40002", "P0001", "XX000"}) {
    EXPECT_FALSE(IsRetryable(sqlstate)) << sqlstate;
  }
}

TEST(OneLineTest, LinesAndTheirIndentationBecomeSpaces) {
  EXPECT_EQ(OneLine("server closed\n\tThis means\n\tit went.\n"), "server closed This means it went.");
  EXPECT_EQ(OneLine(""), "");
}

}  // namespace
}  // namespace assent::postgres
