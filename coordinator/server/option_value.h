#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "coordinator/server/option.h"

namespace assent {

// "500ms", "30s", "24h", "1h30m": finite and not negative. Nothing for any other text.
std::optional<absl::Duration> ParseDurationText(std::string_view text);

// "512B", "64KiB", "16MiB", "10GiB", "1TiB": whole numbers of a binary unit. Nothing for any other text.
std::optional<std::uint64_t> ParseSizeText(std::string_view text);

std::string FormatSizeText(std::uint64_t bytes);  // with the largest unit that divides it

// A text between quotes, escaped as TOML wants it.
std::string QuoteToml(std::string_view text);

// The field's value as it would be written in the file.
std::string FormatOptionValue(const OptionSpec& option, const OptionField& field);

// What the file may hold there, for people: `a duration such as "30s", from 1ms to 24h`.
std::string ExpectedValue(const OptionSpec& option);

// The limits alone, "1ms … 24h"; empty without any.
std::string BoundsText(const OptionSpec& option);

// Stores a value that was read. False, and nothing stored, where it is out of bounds, not valid or of another type.
[[nodiscard]] bool StoreText(const OptionSpec& option, const OptionField& field, std::string_view value);
[[nodiscard]] bool StoreBoolean(const OptionField& field, bool value);
[[nodiscard]] bool StoreCount(const OptionSpec& option, const OptionField& field, std::int64_t value);

// Whether a text is one that the option accepts, alone or as one of several.
bool IsValidText(const OptionSpec& option, std::string_view value);

}  // namespace assent
