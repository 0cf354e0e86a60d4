#include "coordinator/server/option_value.h"

#include <array>
#include <charconv>
#include <limits>

#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace assent {
namespace {

struct SizeUnit {
  std::string_view name;
  std::uint64_t bytes;
};

// From the largest: formatting takes the first that divides.
constexpr std::array<SizeUnit, 5> kSizeUnits = {
    {{"TiB", 1ull << 40}, {"GiB", 1ull << 30}, {"MiB", 1ull << 20}, {"KiB", 1ull << 10}, {"B", 1}}};

std::string_view TypeInWords(OptionType type) {
  switch (type) {
    case OptionType::kText:
      return "a text in quotes";
    case OptionType::kBoolean:
      return "true or false";
    case OptionType::kCount:
      return "a whole number";
    case OptionType::kDuration:
      return "a duration in quotes, such as \"500ms\", \"30s\" or \"24h\"";
    case OptionType::kSize:
      return "a size in quotes, such as \"64KiB\", \"16MiB\" or \"10GiB\"";
    case OptionType::kTexts:
      return "a list of texts in quotes";
  }
  ASSENT_CHECK(false, "not an option type");
}

std::int64_t CountBound(std::string_view text, std::int64_t otherwise) {
  std::int64_t bound = otherwise;
  std::from_chars(text.data(), text.data() + text.size(), bound);
  return bound;
}

std::string FormatTexts(const std::vector<std::string>& texts) {
  std::string list = "[";
  for (const std::string& text : texts) absl::StrAppend(&list, list.size() > 1 ? ", " : "", QuoteToml(text));
  return list + "]";
}

template <typename Quantity, typename Parse>
bool IsInBounds(const OptionSpec& option, const Quantity& value, Parse parse) {
  if (!option.minimum.empty() && value < *parse(option.minimum)) return false;
  return option.maximum.empty() || value <= *parse(option.maximum);
}

}  // namespace

std::optional<absl::Duration> ParseDurationText(std::string_view text) {
  absl::Duration duration;
  if (!absl::ParseDuration(absl::string_view(text.data(), text.size()), &duration)) return std::nullopt;
  if (duration < absl::ZeroDuration() || duration == absl::InfiniteDuration()) return std::nullopt;
  return duration;
}

std::optional<std::uint64_t> ParseSizeText(std::string_view text) {
  std::uint64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc()) return std::nullopt;
  const std::string_view name(rest, static_cast<std::size_t>(end - rest));
  for (const SizeUnit& unit : kSizeUnits) {
    if (name != unit.name) continue;
    if (number > std::numeric_limits<std::int64_t>::max() / unit.bytes) return std::nullopt;
    return number * unit.bytes;
  }
  return std::nullopt;
}

std::string FormatSizeText(std::uint64_t bytes) {
  for (const SizeUnit& unit : kSizeUnits) {
    if (bytes != 0 && bytes % unit.bytes == 0) return absl::StrCat(bytes / unit.bytes, std::string(unit.name));
  }
  return "0B";
}

std::string QuoteToml(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "\"";
}

std::string FormatOptionValue(const OptionSpec& option, const OptionField& field) {
  switch (option.type) {
    case OptionType::kText:
      return QuoteToml(*std::get<std::string*>(field));
    case OptionType::kBoolean:
      return *std::get<bool*>(field) ? "true" : "false";
    case OptionType::kCount:
      if (const auto* number = std::get_if<int*>(&field)) return absl::StrCat(**number);
      if (const auto* number = std::get_if<std::uint32_t*>(&field)) return absl::StrCat(**number);
      return absl::StrCat(*std::get<std::uint64_t*>(field));
    case OptionType::kDuration:
      return QuoteToml(absl::FormatDuration(*std::get<absl::Duration*>(field)));
    case OptionType::kSize:
      return QuoteToml(FormatSizeText(*std::get<std::uint64_t*>(field)));
    case OptionType::kTexts:
      return FormatTexts(*std::get<std::vector<std::string>*>(field));
  }
  ASSENT_CHECK(false, "not an option type");
}

std::string BoundsText(const OptionSpec& option) {
  const std::string minimum(option.minimum);
  const std::string maximum(option.maximum);
  if (minimum.empty() && maximum.empty()) return "";
  if (maximum.empty()) return absl::StrCat("at least ", minimum);
  if (minimum.empty()) return absl::StrCat("at most ", maximum);
  return absl::StrCat("from ", minimum, " to ", maximum);
}

std::string ExpectedValue(const OptionSpec& option) {
  std::string expected(TypeInWords(option.type));
  if (!option.expected.empty()) absl::StrAppend(&expected, ": ", std::string(option.expected));
  const std::string bounds = BoundsText(option);
  if (!bounds.empty()) absl::StrAppend(&expected, ", ", bounds);
  return expected;
}

bool IsValidText(const OptionSpec& option, std::string_view value) {
  return option.valid == nullptr || option.valid(value);
}

bool StoreText(const OptionSpec& option, const OptionField& field, std::string_view value) {
  if (option.type == OptionType::kText) {
    if (!IsValidText(option, value)) return false;
    *std::get<std::string*>(field) = std::string(value);
    return true;
  }
  if (option.type == OptionType::kDuration) {
    const auto duration = ParseDurationText(value);
    if (!duration || !IsInBounds(option, *duration, ParseDurationText)) return false;
    *std::get<absl::Duration*>(field) = *duration;
    return true;
  }
  if (option.type == OptionType::kSize) {
    const auto bytes = ParseSizeText(value);
    if (!bytes || !IsInBounds(option, *bytes, ParseSizeText)) return false;
    *std::get<std::uint64_t*>(field) = *bytes;
    return true;
  }
  return false;
}

bool StoreBoolean(const OptionField& field, bool value) {
  if (!std::holds_alternative<bool*>(field)) return false;
  *std::get<bool*>(field) = value;
  return true;
}

bool StoreCount(const OptionSpec& option, const OptionField& field, std::int64_t value) {
  if (option.type != OptionType::kCount) return false;
  std::int64_t largest = std::numeric_limits<std::int64_t>::max();
  if (std::holds_alternative<int*>(field)) largest = std::numeric_limits<int>::max();
  if (std::holds_alternative<std::uint32_t*>(field)) largest = std::numeric_limits<std::uint32_t>::max();
  if (value < CountBound(option.minimum, 0) || value > CountBound(option.maximum, largest)) return false;
  if (const auto* number = std::get_if<int*>(&field)) {
    **number = static_cast<int>(value);
  } else if (const auto* wide = std::get_if<std::uint64_t*>(&field)) {
    **wide = static_cast<std::uint64_t>(value);
  } else {
    *std::get<std::uint32_t*>(field) = static_cast<std::uint32_t>(value);
  }
  return true;
}

}  // namespace assent
