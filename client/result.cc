#include "assent/result.h"

#include <string>

#include "absl/strings/str_cat.h"

namespace assent {
inline namespace client {
namespace {

const char* TypeName(const Value& value) {
  struct Naming {
    const char* operator()(std::nullptr_t) const { return "null"; }
    const char* operator()(bool) const { return "a bool"; }
    const char* operator()(std::int64_t) const { return "an integer"; }
    const char* operator()(double) const { return "a double"; }
    const char* operator()(const std::string&) const { return "a text"; }
    const char* operator()(const Bytes&) const { return "bytes"; }
  };
  return std::visit(Naming{}, value.kind());
}

}  // namespace

namespace internal {

absl::Status WrongType(std::string_view column, const Value& value, std::string_view wanted) {
  return absl::InvalidArgumentError(
      absl::StrCat("column \"", std::string(column), "\" holds ", TypeName(value), ", and was read as ",
                   std::string(wanted), value.is_null() ? "; read it as std::optional where it may be null" : ""));
}

}  // namespace internal

absl::Status Row::NoColumn(std::string_view column) const {
  return absl::OutOfRangeError(
      absl::StrCat("the row has no column ", std::string(column), "; it has ", values_.size()));
}

const std::vector<Row>& SqlResult::rows() const {
  static const std::vector<Row> none;
  return results.empty() ? none : results.back().rows;
}

std::int64_t SqlResult::affected_rows() const {
  std::int64_t rows = 0;
  for (const StatementResult& result : results) rows += result.affected_rows;
  return rows;
}

}  // namespace client
}  // namespace assent
