#pragma once

#include <libpq-fe.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "assent/v1/types.pb.h"

namespace assent::postgres {

// The types that results carry typed; everything else goes in PostgreSQL's own text form.
inline constexpr Oid kBoolOid = 16;
inline constexpr Oid kByteaOid = 17;
inline constexpr Oid kInt8Oid = 20;
inline constexpr Oid kInt2Oid = 21;
inline constexpr Oid kInt4Oid = 23;
inline constexpr Oid kOidOid = 26;
inline constexpr Oid kFloat4Oid = 700;
inline constexpr Oid kFloat8Oid = 701;

// The parameters of one run of a statement, as libpq takes them. Bytes go binary as bytea, all else as text whose type
// the server infers. Refers to the set it was made from, which must outlive it. Cheap to move, not copied.
class Parameters {
 public:
  Parameters() = default;
  explicit Parameters(const v1::ParameterSet& set);
  Parameters(const Parameters&) = delete;
  Parameters& operator=(const Parameters&) = delete;

  int count() const { return static_cast<int>(values_.size()); }
  const char* const* values() const { return values_.data(); }
  const int* lengths() const { return lengths_.data(); }
  const int* formats() const { return formats_.data(); }
  const Oid* types() const { return types_.data(); }

 private:
  void Add(const char* value, std::size_t length, bool binary);
  void AddOwned(std::string text);

  std::vector<std::string> owned_;
  std::vector<const char*> values_;
  std::vector<int> lengths_;
  std::vector<int> formats_;
  std::vector<Oid> types_;
};

// What the server would misread or refuse half-way: NUL bytes, bad UTF-8, too many or too large values. `place` says
// where, for the message.
absl::Status CheckParameters(const v1::ParameterSet& set, std::uint64_t max_parameter_bytes, const std::string& place);

// OK for text without NUL bytes; else INVALID_ARGUMENT that names the place and the byte.
absl::Status CheckText(std::string_view text, const std::string& place);

// One field of a result, from PostgreSQL's text form.
v1::Value ValueOf(Oid type, std::string_view text);

// The columns of a result.
void AddColumns(const PGresult* result, v1::StatementResult& to);

// Adds row `row` of a result; returns about how many bytes it takes. Nothing where its text is not UTF-8.
std::optional<std::size_t> AddRow(const PGresult* result, int row, v1::StatementResult& to);

}  // namespace assent::postgres
