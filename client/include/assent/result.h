#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "assent/value.h"

namespace assent {
inline namespace client {

struct Column {
  std::string name;
  std::uint32_t type_oid = 0;  // pg_type.oid
};

namespace internal {

template <typename T>
struct IsOptional : std::false_type {};
template <typename T>
struct IsOptional<std::optional<T>> : std::true_type {};

absl::Status WrongType(std::string_view column, const Value& value, std::string_view wanted);
template <typename T>
constexpr std::string_view kTypeName = "another type";
template <>
inline constexpr std::string_view kTypeName<bool> = "bool";
template <>
inline constexpr std::string_view kTypeName<std::int64_t> = "std::int64_t";
template <>
inline constexpr std::string_view kTypeName<double> = "double";
template <>
inline constexpr std::string_view kTypeName<std::string> = "std::string";
template <>
inline constexpr std::string_view kTypeName<Bytes> = "assent::Bytes";

}  // namespace internal

// One row of a result. Cheap to copy its columns: rows of one result share them.
class Row {
 public:
  Row(std::shared_ptr<const std::vector<Column>> columns, std::vector<Value> values)
      : columns_(std::move(columns)), values_(std::move(values)) {}

  std::size_t size() const { return values_.size(); }
  const std::vector<Value>& values() const { return values_; }
  const std::vector<Column>& columns() const { return *columns_; }

  // A value as T: bool, std::int64_t, double, std::string, Bytes, or std::optional of one where it may be null.
  // INVALID_ARGUMENT where it is of another type (the message says which) or null, OUT_OF_RANGE for no such column.
  template <typename T>
  absl::StatusOr<T> Get(std::size_t column) const {
    if (column >= values_.size()) return NoColumn(std::to_string(column));
    const Value& value = values_[column];
    if constexpr (internal::IsOptional<T>::value) {
      if (value.is_null()) return T();
      return Held<typename T::value_type>(column);
    } else {
      return Held<T>(column);
    }
  }
  template <typename T>
  absl::StatusOr<T> Get(std::string_view column) const {
    for (std::size_t i = 0; i < columns_->size(); ++i) {
      if ((*columns_)[i].name == column) return Get<T>(i);
    }
    return NoColumn(column);
  }

 private:
  template <typename T>
  absl::StatusOr<T> Held(std::size_t column) const {
    if (const T* held = std::get_if<T>(&values_[column].kind())) return *held;
    return internal::WrongType(column < columns_->size() ? (*columns_)[column].name : std::to_string(column),
                               values_[column], internal::kTypeName<T>);
  }
  absl::Status NoColumn(std::string_view column) const;

  std::shared_ptr<const std::vector<Column>> columns_;
  std::vector<Value> values_;
};

// What one run of one statement gave.
struct StatementResult {
  std::vector<Row> rows;
  std::int64_t affected_rows = 0;  // returned or changed
  std::string command_tag;         // "INSERT 0 1"
};

// What a SQL operation gave: one result for each statement and each of its parameter sets, in order.
struct SqlResult {
  std::vector<StatementResult> results;

  // Of the only or last run; empty where none gave rows.
  const std::vector<Row>& rows() const;
  // Of all runs together.
  std::int64_t affected_rows() const;
};

}  // namespace client
}  // namespace assent
