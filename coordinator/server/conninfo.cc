#include "coordinator/server/conninfo.h"

#include <libpq-fe.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "coordinator/server/nearest_name.h"

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

std::string DescribeUnreadableConninfo(std::string_view conninfo) {
  if (conninfo.empty()) return "an empty text";
  char* error = nullptr;
  const ParsedConninfo parsed(PQconninfoParse(std::string(conninfo).c_str(), &error));
  const std::string message = error == nullptr ? "" : error;
  PQfreemem(error);
  // libpq quotes the word before a "=". After a password with a space that may be a part of the password: of the word
  // only what it was probably meant to be is shown.
  if (!message.starts_with("invalid connection option \"")) return "a text that libpq cannot read";
  const std::size_t begin = message.find('"') + 1;
  const std::string word = message.substr(begin, message.find('"', begin) - begin);
  const ParsedConninfo known(PQconndefaults());
  std::vector<std::string_view> names;
  for (const PQconninfoOption* option = known.get(); option->keyword != nullptr; ++option) {
    names.emplace_back(option->keyword);
  }
  const std::string nearest = NearestName(word, names);
  return absl::StrCat("a text with an option that libpq does not know",
                      nearest.empty() ? "" : absl::StrCat(" (did you mean \"", nearest, "\"?)"));
}

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
