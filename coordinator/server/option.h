#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/time/time.h"

namespace assent {

// How the value of an option is written.
enum class OptionType {
  kText,      // "orders"
  kBoolean,   // true
  kCount,     // 16
  kDuration,  // "30s"
  kSize,      // "16MiB", in bytes
  kTexts,     // ["127.0.0.1:7411"]
};

// Where the value of an option is kept. The pointer's type fits the option's: a kSize is a std::uint64_t.
using OptionField =
    std::variant<std::string*, bool*, int*, std::uint32_t*, std::uint64_t*, absl::Duration*, std::vector<std::string>*>;

// One option as the reader, the error messages and the documentation know it. Its default is whatever its field holds
// in a default-constructed owner.
struct OptionSpec {
  std::string_view name;
  OptionType type = OptionType::kText;
  std::string_view doc;           // one line
  std::string_view minimum = {};  // of a count, duration or size, as it is written; empty: none
  std::string_view maximum = {};  //
  std::string_view example = {};  // a TOML value, where the default is none: the option must be given, or may be
  bool required = false;
  bool (*valid)(std::string_view) = nullptr;  // of a text, or of each of several
  std::string_view expected = {};             // in words, what `valid` accepts
  // What is wrong with a value, for texts that may hold a password: messages say this instead of the text.
  std::string (*describe)(std::string_view) = nullptr;
};

// An option of a section that is kept in an `Owner`.
template <typename Owner>
struct Option : OptionSpec {
  OptionField (*field)(Owner&) = nullptr;
};

}  // namespace assent
