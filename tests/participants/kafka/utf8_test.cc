#include "participants/kafka/utf8.h"

#include <gtest/gtest.h>

namespace assent::kafka {
namespace {

TEST(Utf8Test, TakesWellFormedText) {
  EXPECT_TRUE(IsUtf8WithoutNul(""));
  EXPECT_TRUE(IsUtf8WithoutNul("plain"));
  EXPECT_TRUE(IsUtf8WithoutNul("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"));
  EXPECT_TRUE(IsUtf8WithoutNul("\xf4\x8f\xbf\xbf"));  // U+10FFFF
}

TEST(Utf8Test, RefusesNulOverlongFormsSurrogatesAndCutText) {
  EXPECT_FALSE(IsUtf8WithoutNul(std::string_view("a\0b", 3)));
  EXPECT_FALSE(IsUtf8WithoutNul("\xc0\x80"));
  EXPECT_FALSE(IsUtf8WithoutNul("\xe0\x80\xaf"));
  EXPECT_FALSE(IsUtf8WithoutNul("\xed\xa0\x80"));
  EXPECT_FALSE(IsUtf8WithoutNul("\xf4\x90\x80\x80"));
  EXPECT_FALSE(IsUtf8WithoutNul("\xff"));
  EXPECT_FALSE(IsUtf8WithoutNul("\x80"));
  EXPECT_FALSE(IsUtf8WithoutNul("\xe2\x82"));
}

TEST(Utf8Test, PrintsWhatCannotBePrintedEscapedAndBounded) {
  EXPECT_EQ(Printable(std::string_view("a\0", 2)), "a\\x00");
  EXPECT_LT(Printable(std::string(1000, 'x')).size(), 100u);
}

}  // namespace
}  // namespace assent::kafka
