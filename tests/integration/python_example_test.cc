// The API stands without the C++ library: a Python program, generated from the protos alone, does the README's example.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "tests/integration/assentd_process.h"
#include "tests/integration/topic.h"

namespace assent::integration {
namespace {

class PythonExampleTest : public testing::Test {
 protected:
  void SetUp() override {
    database_.Run("CREATE TABLE orders (id bigint PRIMARY KEY, item text, quantity int CHECK (quantity > 0))");
    ASSERT_TRUE(assentd_.Start());
  }

  int Example(const std::string& arguments) const {
    const int status = std::system(
        absl::StrCat(PYTHON_EXAMPLE, " ", assentd_.address(), " --topic ", topic_.name(), " ", arguments).c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  const ScratchDatabase database_;
  const ScratchTopic topic_;
  Assentd assentd_{PostgresParticipant("orders-db", database_.conninfo()) + KafkaParticipant("events")};
};

TEST_F(PythonExampleTest, PlacesOneOrderHoweverOftenItRuns) {
  EXPECT_EQ(Example(""), 0);
  EXPECT_EQ(Example(""), 0);
  EXPECT_THAT(database_.Column("SELECT id || item || quantity FROM orders"), testing::ElementsAre("42tea2"));
  while (!topic_.IsStable()) continue;
  const auto records = topic_.ReadCommitted();
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].key, "42");
  EXPECT_EQ(records[0].value, R"({"item": "tea", "quantity": 2})");
}

TEST_F(PythonExampleTest, HearsWhyAnOrderWasRolledBack) {
  EXPECT_EQ(Example("--quantity 0"), 1);
  EXPECT_EQ(database_.Value("SELECT count(*) FROM orders"), "0");
  EXPECT_TRUE(topic_.ReadCommitted().empty());
}

}  // namespace
}  // namespace assent::integration
