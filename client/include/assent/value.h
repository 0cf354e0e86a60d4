#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace assent {
inline namespace client {

// Bytes that are no text: bytea.
struct Bytes {
  std::string data;

  friend bool operator==(const Bytes&, const Bytes&) = default;
};

// A value that goes into a SQL statement or comes out of one.
//
// Integers, floats, booleans and bytea have types of their own; everything else (numeric, date, uuid, json, …) is text
// in PostgreSQL's own form. A text parameter takes the type that the statement wants there.
class Value {
 public:
  using Kind = std::variant<std::nullptr_t, bool, std::int64_t, double, std::string, Bytes>;

  Value() : kind_(nullptr) {}
  Value(std::nullptr_t) : kind_(nullptr) {}
  Value(bool value) : kind_(value) {}
  template <std::integral Integer>
  Value(Integer value) : kind_(static_cast<std::int64_t>(value)) {
    static_assert(std::signed_integral<Integer> || sizeof(Integer) < sizeof(std::int64_t),
                  "PostgreSQL has no integer for all values of this type: cast it to std::int64_t, or send it as text");
  }
  Value(double value) : kind_(value) {}
  Value(const char* text) : kind_(std::string(text)) {}
  Value(std::string text) : kind_(std::move(text)) {}
  Value(std::string_view text) : kind_(std::string(text)) {}
  Value(Bytes bytes) : kind_(std::move(bytes)) {}
  template <typename T>
  Value(std::optional<T> value) : kind_(nullptr) {
    if (value) *this = Value(*std::move(value));
  }

  const Kind& kind() const { return kind_; }
  bool is_null() const { return std::holds_alternative<std::nullptr_t>(kind_); }

  friend bool operator==(const Value&, const Value&) = default;

 private:
  Kind kind_;
};

}  // namespace client
}  // namespace assent
