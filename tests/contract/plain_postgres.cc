#include "tests/contract/plain_postgres.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"

namespace assent {

PlainPostgres::PlainPostgres(const std::string& conninfo) : connection_(PQconnectdb(conninfo.c_str()), &PQfinish) {
  EXPECT_EQ(PQstatus(connection_.get()), CONNECTION_OK) << PQerrorMessage(connection_.get());
}

PlainPostgres::Rows PlainPostgres::Query(const std::string& sql) {
  const std::unique_ptr<PGresult, decltype(&PQclear)> result(PQexec(connection_.get(), sql.c_str()), &PQclear);
  const ExecStatusType status = PQresultStatus(result.get());
  EXPECT_TRUE(status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
      << sql << ": " << PQerrorMessage(connection_.get());
  Rows rows(PQntuples(result.get()));
  for (int row = 0; row < PQntuples(result.get()); ++row) {
    for (int column = 0; column < PQnfields(result.get()); ++column) {
      rows[row].push_back(PQgetvalue(result.get(), row, column));
    }
  }
  return rows;
}

std::string PlainPostgres::TryQuery(const std::string& sql) {
  const std::unique_ptr<PGresult, decltype(&PQclear)> result(PQexec(connection_.get(), sql.c_str()), &PQclear);
  const char* const sqlstate = PQresultErrorField(result.get(), PG_DIAG_SQLSTATE);
  return sqlstate == nullptr ? "" : sqlstate;
}

std::string PlainPostgres::Value(const std::string& sql) {
  const Rows rows = Query(sql);
  return rows.empty() ? "" : rows[0][0];
}

int PlainPostgres::CountNotifications() {
  Query("SELECT 1");
  int count = 0;
  while (PGnotify* const notification = PQnotifies(connection_.get())) {
    PQfreemem(notification);
    ++count;
  }
  return count;
}

std::string PlainPostgres::Literal(const std::string& text) {
  char* const quoted = PQescapeLiteral(connection_.get(), text.c_str(), text.size());
  const std::string literal = quoted;
  PQfreemem(quoted);
  return literal;
}

namespace {

// Where PostgreSQL's own programs are: the newest installed version's folder.
std::string Programs() {
  std::string newest;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/usr/lib/postgresql", error)) {
    const std::string folder = entry.path() / "bin";
    if (std::filesystem::exists(folder + "/initdb") && folder > newest) newest = folder;
  }
  return newest;
}

}  // namespace

OwnPostgres::OwnPostgres(const std::string& settings) {
  const std::string programs = Programs();
  if (programs.empty()) {
    failure_ = "no initdb under /usr/lib/postgresql: install PostgreSQL";
    return;
  }
  char pattern[] = "/tmp/assent-pg-XXXXXX";
  folder_ = mkdtemp(pattern);
  // The server refuses to run as root.
  if (geteuid() == 0 && !Run(absl::StrCat("chown postgres ", folder_))) return;
  if (!Run(absl::StrCat(programs, "/initdb -D ", folder_, "/data -U postgres -A trust -E UTF8 --no-sync"))) return;
  std::ofstream(folder_ + "/data/postgresql.conf", std::ios::app)
      << "listen_addresses = ''\nport = 5432\nunix_socket_directories = '" << folder_
      << "'\nmax_prepared_transactions = 50\n"
      << settings << "\n";
  Start();
}

OwnPostgres::~OwnPostgres() {
  if (running_) Stop();
  if (!folder_.empty()) std::filesystem::remove_all(folder_);
}

std::string OwnPostgres::Conninfo() const { return absl::StrCat("host=", folder_, " port=5432 user=postgres"); }

void OwnPostgres::Stop() {
  running_ = !Run(absl::StrCat(Programs(), "/pg_ctl -D ", folder_, "/data -m immediate -w stop"));
}

void OwnPostgres::Start() {
  running_ = Run(absl::StrCat(Programs(), "/pg_ctl -D ", folder_, "/data -l ", folder_, "/log -w start"));
}

bool OwnPostgres::Run(const std::string& command) {
  const std::string as_postgres = geteuid() == 0 && command.rfind("chown", 0) != 0 ? "runuser -u postgres -- " : "";
  const std::string line = absl::StrCat("cd ", folder_, " && ", as_postgres, command, " >", folder_, "/output 2>&1");
  if (std::system(line.c_str()) == 0) return true;
  failure_ = absl::StrCat(command, " failed; its output is in ", folder_, "/output");
  return false;
}

}  // namespace assent
