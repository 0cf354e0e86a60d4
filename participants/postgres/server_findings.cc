#include "participants/postgres/server_findings.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace assent::postgres {
namespace {

v1::Finding MakeFinding(v1::Finding::Severity severity, std::string what, std::string fix) {
  v1::Finding finding;
  finding.set_severity(severity);
  finding.set_what(std::move(what));
  finding.set_fix(std::move(fix));
  return finding;
}

}  // namespace

std::vector<v1::Finding> FindingsOf(const ServerSettings& settings) {
  std::vector<v1::Finding> findings;
  if (settings.max_prepared_transactions == 0) {
    findings.push_back(MakeFinding(
        v1::Finding::DANGER, "prepared transactions are disabled, so that nothing but read-only branches can commit",
        "set max_prepared_transactions in postgresql.conf to at least the number of transactions in flight, and "
        "restart PostgreSQL"));
  }
  if (!settings.fsync) {
    findings.push_back(MakeFinding(v1::Finding::DANGER, "fsync is off: a crash of its machine may tear transactions",
                                   "set fsync = on in postgresql.conf, and reload PostgreSQL"));
  }
  if (!settings.full_page_writes) {
    findings.push_back(MakeFinding(v1::Finding::DANGER,
                                   "full_page_writes is off: a crash of its machine may lose prepared branches",
                                   "set full_page_writes = on in postgresql.conf, and reload PostgreSQL"));
  }
  if (settings.synchronous_commit != "on" && settings.synchronous_commit != "remote_apply") {
    findings.push_back(
        MakeFinding(v1::Finding::WARNING,
                    absl::StrCat("its conninfo sets synchronous_commit to ", settings.synchronous_commit,
                                 ": a failover may lose branches"),
                    "take synchronous_commit out of the conninfo's options: without a word there it is on"));
  }
  return findings;
}

std::vector<v1::Finding> FindingsOfRoom(std::int64_t limit, std::int64_t prepared, std::uint32_t max_connections) {
  std::vector<v1::Finding> findings;
  if (limit == 0) return findings;  // a finding of the settings
  const std::string raise = "raise max_prepared_transactions in postgresql.conf, and restart PostgreSQL";
  if (prepared * 10 >= limit * 8) {
    findings.push_back(MakeFinding(v1::Finding::WARNING,
                                   absl::StrCat(prepared, " of max_prepared_transactions = ", limit,
                                                " are taken: at the limit branches wait, and abort"),
                                   absl::StrCat("look in pg_prepared_xacts for what nobody ends; else ", raise)));
  } else if (limit < max_connections) {
    findings.push_back(MakeFinding(v1::Finding::WARNING,
                                   absl::StrCat("max_prepared_transactions = ", limit,
                                                " is less than this participant's max_connections = ", max_connections,
                                                ": under load branches wait to prepare"),
                                   raise));
  }
  return findings;
}

}  // namespace assent::postgres
