#include "participants/postgres/conninfo.h"

#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace assent::postgres {
namespace {

// The option's value in a conninfo; empty where it has none.
std::string ValueIn(const std::string& conninfo, std::string_view keyword) {
  const std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> parsed(PQconninfoParse(conninfo.c_str(), nullptr),
                                                                            &PQconninfoFree);
  if (parsed == nullptr) return "";
  for (const PQconninfoOption* option = parsed.get(); option->keyword != nullptr; ++option) {
    if (option->keyword == keyword && option->val != nullptr) return option->val;
  }
  return "";
}

}  // namespace

absl::Status CheckConninfo(const std::string& conninfo) {
  char* message = nullptr;
  PQconninfoOption* const parsed = PQconninfoParse(conninfo.c_str(), &message);
  PQfreemem(message);
  if (parsed == nullptr) {
    return absl::InvalidArgumentError(
        "conninfo is no libpq connection string: expected \"host=… dbname=… user=…\" or \"postgresql://…\"");
  }
  PQconninfoFree(parsed);
  return absl::OkStatus();
}

PGconn* StartConnecting(const std::string& conninfo, const std::string& application_name) {
  // Later -c options win: what results depend on comes last, what the user may decide comes first.
  const std::string options =
      absl::StrCat("-c synchronous_commit=on ", ValueIn(conninfo, "options"),
                   " -c DateStyle=ISO -c IntervalStyle=postgres -c bytea_output=hex -c extra_float_digits=1");
  const std::vector<std::pair<const char*, const char*>> settings = {
      {"keepalives_idle", "10"},
      {"keepalives_interval", "5"},
      {"keepalives_count", "3"},
      {"target_session_attrs", "primary"},
      {"dbname", conninfo.c_str()},  // expanded: what stands in it wins over what stands before
      {"application_name", application_name.c_str()},
      {"client_encoding", "UTF8"},
      {"options", options.c_str()},
  };
  std::vector<const char*> keywords;
  std::vector<const char*> values;
  for (const auto& [keyword, value] : settings) {
    keywords.push_back(keyword);
    values.push_back(value);
  }
  keywords.push_back(nullptr);
  values.push_back(nullptr);
  return PQconnectStartParams(keywords.data(), values.data(), 1);
}

}  // namespace assent::postgres
