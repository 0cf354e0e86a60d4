#include "coordinator/server/config_document.h"

#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/check.h"
#include "coordinator/server/option_table.h"
#include "coordinator/server/option_value.h"

namespace assent {
namespace {

constexpr std::size_t kColumns = 100;

// Comment lines of at most kColumns.
std::string Comment(std::string_view text) {
  std::string comment;
  std::string line = "#";
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    if (line.size() + 1 + end > kColumns) {
      absl::StrAppend(&comment, line, "\n");
      line = "#";
    }
    absl::StrAppend(&line, " ", std::string(text.substr(0, end)));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return absl::StrCat(comment, line, "\n");
}

// What a value may be, where the type alone does not say it.
std::string Allowed(const OptionSpec& option) {
  const std::string bounds = BoundsText(option);
  return bounds.empty() ? std::string(option.expected) : bounds;
}

std::string WrittenDefault(const OptionSpec& option, const OptionField& field) {
  return option.example.empty() ? FormatOptionValue(option, field) : std::string(option.example);
}

template <typename Owner>
std::string SectionText(std::span<const Option<Owner>> options, bool commented_out = false) {
  Owner defaults;
  std::string text;
  for (const Option<Owner>& option : options) {
    const std::string allowed = Allowed(option);
    absl::StrAppend(&text, Comment(option.doc), allowed.empty() ? "" : Comment("Value: " + allowed + "."));
    absl::StrAppend(&text, commented_out ? "# " : "", std::string(option.name), " = ",
                    WrittenDefault(option, option.field(defaults)), "\n\n");
  }
  return text;
}

std::string TypeName(OptionType type) {
  switch (type) {
    case OptionType::kText:
      return "text";
    case OptionType::kBoolean:
      return "boolean";
    case OptionType::kCount:
      return "number";
    case OptionType::kDuration:
      return "duration";
    case OptionType::kSize:
      return "size";
    case OptionType::kTexts:
      return "list of texts";
  }
  ASSENT_CHECK(false, "not an option type");
}

template <typename Owner>
std::string SectionMarkdown(std::string_view title, std::span<const Option<Owner>> options) {
  Owner defaults;
  std::string text = absl::StrCat("### ", std::string(title), "\n\n| option | type | default | allowed | meaning |\n",
                                  "|---|---|---|---|---|\n");
  for (const Option<Owner>& option : options) {
    std::string value = "none";
    if (option.required) {
      value = "**required**";
    } else if (option.example.empty()) {
      value = absl::StrCat("`", FormatOptionValue(option, option.field(defaults)), "`");
    }
    absl::StrAppend(&text, "| `", std::string(option.name), "` | ", TypeName(option.type), " | ", value, " | ",
                    Allowed(option), " | ", std::string(option.doc), " |\n");
  }
  return text + "\n";
}

}  // namespace

std::string DefaultConfigText() {
  return absl::StrCat(
      "# Configuration of assentd: every option, with its default. Options that are left out have it.\n",
      "# Durations: \"500ms\", \"30s\", \"1h30m\". Sizes: \"64KiB\", \"16MiB\", \"10GiB\".\n\n",
      SectionText(TopLevelOptions()), "[transactions]\n", SectionText(TransactionsOptions()), "[log]\n",
      SectionText(LogOptions()), "# [tls]\n", SectionText(TlsOptions(), true),
      "# One section for each participant: at least one. These two are examples.\n[[participant]]\n",
      "type = \"postgres\"\n", SectionText(PostgresParticipantOptions()), "[[participant]]\ntype = \"kafka\"\n",
      SectionText(KafkaParticipantOptions()));
}

std::string OptionTablesMarkdown() {
  return absl::StrCat(SectionMarkdown("Top level", TopLevelOptions()),
                      SectionMarkdown("`[transactions]`", TransactionsOptions()),
                      SectionMarkdown("`[log]`", LogOptions()), SectionMarkdown("`[tls]`", TlsOptions()),
                      SectionMarkdown("`[[participant]]` with `type = \"postgres\"`", PostgresParticipantOptions()),
                      SectionMarkdown("`[[participant]]` with `type = \"kafka\"`", KafkaParticipantOptions()));
}

}  // namespace assent
