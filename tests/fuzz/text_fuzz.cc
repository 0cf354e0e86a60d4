// Texts that others write: ids, as clients and servers hand them back, and SQL statements.
#include <algorithm>
#include <cctype>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/ids.h"
#include "participants/postgres/statement_scanner.h"
#include "tests/fuzz/allocations.h"

namespace assent {
namespace {

constexpr std::size_t kMostAllocatedPerByte = 16;
constexpr std::size_t kMostAllocatedBesides = 4096;

void ReadIds(std::string_view text) {
  if (const auto id = ParseTxnId(text)) ASSENT_CHECK(id->ToString() == text, "another transaction has this id");
  if (const auto id = ParseTransactionalId(text)) ASSENT_CHECK(id->ToString() == text, "another producer has this id");
  if (const auto id = ParseGid(text)) {
    ASSENT_CHECK(id->ToGid() == text, "another branch has this gid");
    ASSENT_CHECK(text.size() <= 199, "PostgreSQL takes no gid as long");
  }
}

void ScanSql(std::string_view text) {
  using postgres::StatementKind;
  const postgres::ScannedStatement statement = postgres::ScanStatement(text);
  ASSENT_CHECK(statement.keyword.size() <= text.size(), "a keyword is longer than its statement");
  ASSENT_CHECK(
      std::none_of(statement.keyword.begin(), statement.keyword.end(), [](unsigned char c) { return std::islower(c); }),
      "a keyword is not in upper case");
  if (statement.kind == StatementKind::kEmpty) return;
  // What the server drops from the front hides nothing.
  for (const std::string_view front : {";", " \t\n", "--\n", "/* /* */ */"}) {
    ASSENT_CHECK(postgres::ScanStatement(std::string(front) + std::string(text)).kind == statement.kind,
                 "a comment changes what a statement is");
  }
}

}  // namespace
}  // namespace assent

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const assent::Allocations allocations;
  assent::ReadIds(text);
  assent::ScanSql(text);
  ASSENT_CHECK(allocations.bytes() <= assent::kMostAllocatedPerByte * size + assent::kMostAllocatedBesides,
               "a text took more memory than its size explains");
  return 0;
}
