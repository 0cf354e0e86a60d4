#include "participants/postgres/values.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace assent::postgres {
namespace {

TEST(ParametersTest, ValuesGoAsTextAndBytesAsBinaryBytea) {
  v1::ParameterSet set;
  set.add_values()->set_null(v1::NULL_VALUE);
  set.add_values()->set_bool_(true);
  set.add_values()->set_int64(std::numeric_limits<std::int64_t>::min());
  set.add_values()->set_double_(0.1);
  set.add_values()->set_text("text");
  set.add_values()->set_bytes(std::string("\0\x01", 2));
  set.add_values();
  const Parameters parameters(set);
  ASSERT_EQ(parameters.count(), 7);
  EXPECT_EQ(parameters.values()[0], nullptr);
  EXPECT_STREQ(parameters.values()[1], "true");
  EXPECT_STREQ(parameters.values()[2], "-9223372036854775808");
  EXPECT_STREQ(parameters.values()[3], "0.1");
  EXPECT_STREQ(parameters.values()[4], "text");
  EXPECT_EQ(std::string(parameters.values()[5], parameters.lengths()[5]), std::string("\0\x01", 2));
  EXPECT_EQ(parameters.values()[6], nullptr);
  for (int i = 0; i < 7; ++i) {
    EXPECT_EQ(parameters.formats()[i], i == 5 ? 1 : 0);
    EXPECT_EQ(parameters.types()[i], i == 5 ? kByteaOid : Oid{0});
  }
}

TEST(ParametersTest, DoublesWithoutDigitsHavePostgresNames) {
  v1::ParameterSet set;
  set.add_values()->set_double_(std::numeric_limits<double>::quiet_NaN());
  set.add_values()->set_double_(std::numeric_limits<double>::infinity());
  set.add_values()->set_double_(-std::numeric_limits<double>::infinity());
  const Parameters parameters(set);
  EXPECT_STREQ(parameters.values()[0], "NaN");
  EXPECT_STREQ(parameters.values()[1], "Infinity");
  EXPECT_STREQ(parameters.values()[2], "-Infinity");
}

TEST(CheckTextTest, RefusesNulBytes) {
  const absl::Status refused = CheckText(std::string("a\0b", 3), "statement 1");
  EXPECT_TRUE(CheckText("ab", "statement 1").ok());
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(refused.message().find("statement 1 has a NUL byte at offset 1"), absl::string_view::npos) << refused;
}

TEST(CheckParametersTest, RefusesAValueOverTheBoundAndNamesBoth) {
  v1::ParameterSet set;
  set.add_values()->set_text("12345");
  set.add_values()->set_bytes("123456");
  EXPECT_TRUE(CheckParameters(set, 6, "statement 1").ok());
  const absl::Status refused = CheckParameters(set, 5, "statement 1");
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(refused.message().find("$2"), absl::string_view::npos) << refused;
  EXPECT_NE(refused.message().find("max_parameter_bytes = 5"), absl::string_view::npos) << refused;
}

TEST(CheckParametersTest, BytesNeedNotBeText) {
  v1::ParameterSet set;
  set.add_values()->set_bytes(std::string("\0\xff", 2));
  EXPECT_TRUE(CheckParameters(set, 100, "statement 1").ok());
}

TEST(ValueOfTest, KnownTypesAreTypedAndOthersAreText) {
  EXPECT_TRUE(ValueOf(kBoolOid, "t").bool_());
  EXPECT_EQ(ValueOf(kBoolOid, "f").kind_case(), v1::Value::kBool);
  EXPECT_EQ(ValueOf(kInt2Oid, "-32768").int64(), -32768);
  EXPECT_EQ(ValueOf(kInt4Oid, "7").int64(), 7);
  EXPECT_EQ(ValueOf(kInt8Oid, "9223372036854775807").int64(), std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(ValueOf(kOidOid, "4294967295").int64(), 4294967295);
  EXPECT_EQ(ValueOf(kFloat8Oid, "0.1").double_(), 0.1);
  EXPECT_EQ(ValueOf(kFloat4Oid, "0.1").double_(), 0.1f);
  EXPECT_TRUE(std::isnan(ValueOf(kFloat8Oid, "NaN").double_()));
  EXPECT_EQ(ValueOf(kFloat8Oid, "-Infinity").double_(), -std::numeric_limits<double>::infinity());
  EXPECT_EQ(ValueOf(kByteaOid, "\\x00ffa1").bytes(), std::string("\x00\xff\xa1", 3));
  EXPECT_EQ(ValueOf(1700, "12.50").text(), "12.50");
}

}  // namespace
}  // namespace assent::postgres
