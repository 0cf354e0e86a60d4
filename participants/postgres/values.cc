#include "participants/postgres/values.h"

#include <charconv>
#include <cmath>
#include <limits>
#include <memory>

#include "absl/strings/str_cat.h"
#include "base/utf8.h"

namespace assent::postgres {
namespace {

constexpr int kMaxParameters = 65'535;     // of the wire protocol: a 16-bit count
constexpr std::size_t kBytesOfAValue = 8;  // about what an empty value takes in a reply

std::string TextOf(double number) {
  if (std::isnan(number)) return "NaN";
  if (std::isinf(number)) return number > 0 ? "Infinity" : "-Infinity";
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, number);
  return std::string(buffer, end.ptr);
}

// In either of the server's two formats: a branch may choose one (bytea_output).
std::string BytesOf(const std::string& text) {
  std::size_t length = 0;
  const std::unique_ptr<unsigned char, decltype(&PQfreemem)> bytes(
      PQunescapeBytea(reinterpret_cast<const unsigned char*>(text.c_str()), &length), &PQfreemem);
  return bytes == nullptr ? text : std::string(reinterpret_cast<const char*>(bytes.get()), length);
}

template <typename Float>
double FloatOf(std::string_view text) {
  if (text == "NaN") return std::numeric_limits<double>::quiet_NaN();
  if (text == "Infinity") return std::numeric_limits<double>::infinity();
  if (text == "-Infinity") return -std::numeric_limits<double>::infinity();
  Float number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

}  // namespace

Parameters::Parameters(const v1::ParameterSet& set) {
  const std::size_t count = set.values_size();
  owned_.reserve(count);  // values_ points into it
  values_.reserve(count);
  lengths_.reserve(count);
  formats_.reserve(count);
  types_.reserve(count);
  for (const v1::Value& value : set.values()) {
    switch (value.kind_case()) {
      case v1::Value::kNull:
      case v1::Value::KIND_NOT_SET:
        Add(nullptr, 0, false);
        break;
      case v1::Value::kBool:
        Add(value.bool_() ? "true" : "false", 0, false);
        break;
      case v1::Value::kInt64:
        AddOwned(absl::StrCat(value.int64()));
        break;
      case v1::Value::kDouble:
        AddOwned(TextOf(value.double_()));
        break;
      case v1::Value::kText:
        Add(value.text().c_str(), value.text().size(), false);
        break;
      case v1::Value::kBytes:
        Add(value.bytes().data(), value.bytes().size(), true);
        break;
    }
  }
}

void Parameters::Add(const char* value, std::size_t length, bool binary) {
  values_.push_back(value);
  lengths_.push_back(static_cast<int>(length));  // libpq reads it of binary values only
  formats_.push_back(binary ? 1 : 0);
  types_.push_back(binary ? kByteaOid : 0);
}

void Parameters::AddOwned(std::string text) {
  owned_.push_back(std::move(text));
  Add(owned_.back().c_str(), 0, false);
}

absl::Status CheckText(std::string_view text, const std::string& place) {
  // That it is UTF-8 was seen to when the request was parsed.
  const std::size_t nul = text.find('\0');
  if (nul == std::string_view::npos) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(place, " has a NUL byte at offset ", nul, ", which PostgreSQL text cannot hold; send it as bytes"));
}

absl::Status CheckParameters(const v1::ParameterSet& set, std::uint64_t max_parameter_bytes, const std::string& place) {
  if (set.values_size() > kMaxParameters) {
    return absl::InvalidArgumentError(
        absl::StrCat(place, " has ", set.values_size(), " parameters; PostgreSQL takes at most ", kMaxParameters));
  }
  for (int i = 0; i < set.values_size(); ++i) {
    const v1::Value& value = set.values(i);
    const std::uint64_t bytes = value.text().size() + value.bytes().size();
    if (bytes > max_parameter_bytes) {
      return absl::InvalidArgumentError(absl::StrCat("parameter $", i + 1, " of ", place, " has ", bytes,
                                                     " bytes, more than max_parameter_bytes = ", max_parameter_bytes));
    }
    if (value.kind_case() != v1::Value::kText) continue;
    if (absl::Status text = CheckText(value.text(), absl::StrCat("parameter $", i + 1, " of ", place)); !text.ok()) {
      return text;
    }
  }
  return absl::OkStatus();
}

v1::Value ValueOf(Oid type, std::string_view text) {
  v1::Value value;
  switch (type) {
    case kBoolOid:
      value.set_bool_(text == "t");
      break;
    case kByteaOid:
      value.set_bytes(BytesOf(std::string(text)));
      break;
    case kInt2Oid:
    case kInt4Oid:
    case kInt8Oid:
    case kOidOid: {
      std::int64_t number = 0;
      std::from_chars(text.data(), text.data() + text.size(), number);
      value.set_int64(number);
      break;
    }
    case kFloat4Oid:
      value.set_double_(FloatOf<float>(text));
      break;
    case kFloat8Oid:
      value.set_double_(FloatOf<double>(text));
      break;
    default:  // the types of a database are open-ended
      value.set_text(std::string(text));
      break;
  }
  return value;
}

void AddColumns(const PGresult* result, v1::StatementResult& to) {
  for (int i = 0; i < PQnfields(result); ++i) {
    v1::Column& column = *to.add_columns();
    column.set_name(WithoutBadUtf8(PQfname(result, i)));
    column.set_type_oid(PQftype(result, i));
  }
}

std::optional<std::size_t> AddRow(const PGresult* result, int row, v1::StatementResult& to) {
  v1::Row& added = *to.add_rows();
  std::size_t bytes = kBytesOfAValue;
  for (int i = 0; i < PQnfields(result); ++i) {
    bytes += kBytesOfAValue;
    if (PQgetisnull(result, row, i)) {
      added.add_values()->set_null(v1::NULL_VALUE);
      continue;
    }
    const std::string_view text(PQgetvalue(result, row, i), static_cast<std::size_t>(PQgetlength(result, row, i)));
    if (!IsUtf8(text)) return std::nullopt;
    bytes += text.size();
    *added.add_values() = ValueOf(PQftype(result, i), text);
  }
  return bytes;
}

}  // namespace assent::postgres
