#include "coordinator/server/config_document.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>

#include "coordinator/server/config.h"
#include "coordinator/server/option_table.h"
#include "coordinator/server/option_value.h"

namespace assent {
namespace {

using testing::HasSubstr;

template <typename Owner>
void ExpectSameValues(std::span<const Option<Owner>> options, Owner found, Owner expected) {
  for (const Option<Owner>& option : options) {
    if (!option.example.empty()) continue;
    EXPECT_EQ(FormatOptionValue(option, option.field(found)), FormatOptionValue(option, option.field(expected)))
        << option.name;
  }
}

TEST(ConfigDocumentTest, ThePrintedDefaultFileIsReadAsTheDefaults) {
  const auto config = ParseConfig(DefaultConfigText(), "default", {});
  ASSERT_TRUE(config.ok()) << config.status() << "\n" << DefaultConfigText();
  for (const auto options : {TopLevelOptions(), TransactionsOptions(), LogOptions(), TlsOptions()}) {
    ExpectSameValues(options, *config, Config());
  }
  ASSERT_EQ(config->participants.size(), 2u);
  ExpectSameValues(PostgresParticipantOptions(), std::get<postgres::PostgresOptions>(config->participants[0]), {});
  ExpectSameValues(KafkaParticipantOptions(), std::get<kafka::KafkaOptions>(config->participants[1]), {});
}

TEST(ConfigDocumentTest, EveryOptionIsInThePrintedFile) {
  const std::string text = DefaultConfigText();
  for (const auto options : {TopLevelOptions(), TransactionsOptions(), LogOptions(), TlsOptions()}) {
    for (const Option<Config>& option : options) {
      EXPECT_THAT(text, HasSubstr(std::string(option.name) + " = "));
    }
  }
}

TEST(ConfigDocumentTest, EveryBoundCanBeRead) {
  const auto check = [](const auto& options) {
    for (const auto& option : options) {
      for (const std::string_view bound : {option.minimum, option.maximum}) {
        if (bound.empty()) continue;
        if (option.type == OptionType::kDuration) {
          EXPECT_TRUE(ParseDurationText(bound)) << option.name;
        } else if (option.type == OptionType::kSize) {
          EXPECT_TRUE(ParseSizeText(bound)) << option.name;
        }
      }
    }
  };
  for (const auto options : {TopLevelOptions(), TransactionsOptions(), LogOptions(), TlsOptions()}) check(options);
  check(PostgresParticipantOptions());
  check(KafkaParticipantOptions());
}

// docs/configuration.md carries the tables between two marks.
TEST(ConfigDocumentTest, TheDocumentHasTheTablesOfTheOptions) {
  std::ifstream file(ASSENT_SOURCE_DIR "/docs/configuration.md");
  std::ostringstream document;
  document << file.rdbuf();
  const std::string text = document.str();
  const std::string begin = "<!-- options: begin -->\n";
  const auto from = text.find(begin);
  const auto to = text.find("<!-- options: end -->");
  ASSERT_NE(from, std::string::npos);
  ASSERT_NE(to, std::string::npos);
  EXPECT_EQ(text.substr(from + begin.size(), to - from - begin.size()), OptionTablesMarkdown())
      << "put what `assentd --print-options` prints between the marks of docs/configuration.md";
}

}  // namespace
}  // namespace assent
