#include "coordinator/server/conninfo.h"

#include <libpq-fe.h>

#include <memory>

#include "absl/strings/str_cat.h"

namespace assent {
namespace {

struct FreeOptions {
  void operator()(PQconninfoOption* options) const { PQconninfoFree(options); }
};
using ParsedConninfo = std::unique_ptr<PQconninfoOption, FreeOptions>;

ParsedConninfo Parse(std::string_view conninfo) {
  char* error = nullptr;
  ParsedConninfo parsed(PQconninfoParse(std::string(conninfo).c_str(), &error));
  PQfreemem(error);
  return parsed;
}

// libpq marks what is secret (password, sslpassword) with a '*'.
bool IsSecret(const PQconninfoOption& option) { return option.dispchar[0] == '*'; }

}  // namespace

bool IsConninfo(std::string_view conninfo) { return !conninfo.empty() && Parse(conninfo) != nullptr; }

bool HasPassword(std::string_view conninfo) {
  const ParsedConninfo parsed = Parse(conninfo);
  if (parsed == nullptr) return false;
  for (const PQconninfoOption* option = parsed.get(); option->keyword != nullptr; ++option) {
    if (option->val != nullptr && IsSecret(*option)) return true;
  }
  return false;
}

std::string RedactConninfo(std::string_view conninfo) {
  const ParsedConninfo parsed = Parse(conninfo);
  if (parsed == nullptr) return "(unreadable)";
  std::string text;
  for (const PQconninfoOption* option = parsed.get(); option->keyword != nullptr; ++option) {
    if (option->val == nullptr) continue;
    absl::StrAppend(&text, text.empty() ? "" : " ", option->keyword, "=", IsSecret(*option) ? "(hidden)" : option->val);
  }
  return text;
}

}  // namespace assent
