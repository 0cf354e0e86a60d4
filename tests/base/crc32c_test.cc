#include "base/crc32c.h"

#include <gtest/gtest.h>

namespace assent {
namespace {

TEST(Crc32cTest, IsThatOfTheRfcAlsoInPieces) {
  EXPECT_EQ(Crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(Crc32c("6789", Crc32c("12345")), 0xe3069283u);
}

}  // namespace
}  // namespace assent
