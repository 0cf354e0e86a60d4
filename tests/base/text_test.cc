#include <gtest/gtest.h>

#include "base/shortened.h"
#include "base/utf8.h"

namespace assent {
namespace {

TEST(Utf8Test, IsWhatAProtobufStringMayHold) {
  for (const char* text :
       {"", "plain", "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf"}) {
    EXPECT_TRUE(IsUtf8(text)) << text;
    EXPECT_EQ(WithoutBadUtf8(text), text);
  }
  for (const char* bytes : {"\x80", "\xc0\xaf", "\xc1\xbf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf0\x80\x80\x80",
                            "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xc3", "\xe2\x82", "\xf0\x9f\x98", "\xff"}) {
    EXPECT_FALSE(IsUtf8(bytes));
    EXPECT_TRUE(IsUtf8(WithoutBadUtf8(bytes)));
  }
  EXPECT_EQ(WithoutBadUtf8("caf\xe9 \xc3\xa9"), "caf? \xc3\xa9");
}

TEST(ShortenedTest, KeepsWhatFitsAndCutsBetweenCharacters) {
  EXPECT_EQ(Shortened("whole", 5), "whole");
  EXPECT_EQ(Shortened("longer", 5), "lo…");
  EXPECT_EQ(Shortened("a\xc3\xa9\xc3\xa9\xc3\xa9", 6), "a\xc3\xa9…") << "not between the two bytes of a character";
}

}  // namespace
}  // namespace assent
