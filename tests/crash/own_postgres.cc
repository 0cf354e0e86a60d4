#include "tests/crash/own_postgres.h"

#include <gtest/gtest.h>
#include <libpq-fe.h>
#include <pwd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <memory>

#include "absl/strings/str_cat.h"
#include "tests/integration/await.h"
#include "tests/integration/servers.h"

namespace assent::integration {
namespace {

constexpr const char* kUser = "postgres";  // PostgreSQL refuses to be run by root

// A program of PostgreSQL's, for a shell that root may run. The shell becomes it.
std::string Command(const std::string& program, const std::string& options = "") {
  const char* const folder = std::getenv("ASSENT_TEST_POSTGRES_BIN");
  EXPECT_NE(folder, nullptr) << "ASSENT_TEST_POSTGRES_BIN is not set: run through deploy/local.sh run -- …";
  const std::string user =
      geteuid() == 0 ? absl::StrCat(" --reuid=", kUser, " --regid=", kUser, " --init-groups --reset-env") : "";
  return absl::StrCat("cd / && exec setpriv", user, options, " -- ", folder == nullptr ? "" : folder, "/", program,
                      " ");
}

}  // namespace

OwnPostgres::OwnPostgres()
    : folder_(std::filesystem::temp_directory_path() / UniqueName("postgres")), port_(FreePort()) {
  MakeFolder();
  Run("initdb", absl::StrCat("-D ", data(), " -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync"));
  std::ofstream(data() + "/postgresql.conf", std::ios::app)
      << "max_prepared_transactions = 50\nunix_socket_directories = ''\nlisten_addresses = '127.0.0.1'\n";
  Start();
  Ask("CREATE DATABASE orders");
}

OwnPostgres::OwnPostgres(StandbyOf standby)
    : folder_(std::filesystem::temp_directory_path() / UniqueName("postgres")), port_(FreePort()) {
  MakeFolder();
  Run("pg_basebackup", absl::StrCat("-D ", data(), " -h 127.0.0.1 -p ", standby.primary.port_,
                                    " -U postgres -c fast -X stream -R --no-sync"));
  Start();
}

OwnPostgres::~OwnPostgres() {
  Stop();
  if (failure_.empty()) std::filesystem::remove_all(folder_);
}

void OwnPostgres::MakeFolder() const {
  std::filesystem::create_directories(folder_);
  const passwd* const user = getpwnam(kUser);
  if (geteuid() != 0) return;
  ASSERT_NE(user, nullptr) << kUser;
  EXPECT_EQ(chown(folder_.c_str(), user->pw_uid, user->pw_gid), 0);
}

void OwnPostgres::Run(const std::string& program, const std::string& arguments) {
  if (!failure_.empty()) return;
  const std::string log = (folder_ / program).string() + ".log";
  if (std::system(absl::StrCat("(", Command(program), arguments, ") >", log, " 2>&1").c_str()) != 0) {
    failure_ = absl::StrCat(program, " failed: see ", log);
  }
}

void OwnPostgres::Start(const std::string& more) {
  if (!failure_.empty()) return;
  const std::string command =
      absl::StrCat("exec >>", (folder_ / "postgres.log").string(), " 2>&1; ", Command("postgres", " --pdeathsig QUIT"),
                   "-D ", data(), " -p ", port_, more);
  pid_ = fork();
  if (pid_ == 0) {
    execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
    _exit(127);
  }
  const std::string database = conninfo() + " dbname=postgres";
  const bool answers = Await([&] {
    if (waitpid(pid_, nullptr, WNOHANG) == pid_) pid_ = 0;
    return pid_ == 0 || PQping(database.c_str()) == PQPING_OK;
  });
  if (!answers || pid_ == 0) failure_ = absl::StrCat("postgres did not start: see ", folder_.string(), "/postgres.log");
}

std::string OwnPostgres::conninfo() const { return absl::StrCat("host=127.0.0.1 port=", port_, " user=postgres"); }

void OwnPostgres::Stop() {
  if (pid_ == 0) return;
  kill(pid_, SIGQUIT);
  waitpid(pid_, nullptr, 0);
  pid_ = 0;
}

void OwnPostgres::TakePlaceOf(const OwnPostgres& lost) {
  port_ = lost.port_;
  Start(" -c primary_conninfo=''");
}

void OwnPostgres::Promote() const { EXPECT_EQ(Ask("SELECT pg_promote()"), "t"); }

void OwnPostgres::AwaitReplay() const {
  const std::string written = Ask("SELECT pg_current_wal_insert_lsn()");
  EXPECT_TRUE(Await([&] {
    return Ask("SELECT bool_or(replay_lsn >= '" + written + "') FROM pg_stat_replication") == "t";
  })) << "the standby has not got to "
      << written;
}

std::string OwnPostgres::Ask(const std::string& sql) const {
  const std::unique_ptr<PGconn, decltype(&PQfinish)> connection(PQconnectdb((conninfo() + " dbname=postgres").c_str()),
                                                                PQfinish);
  const std::unique_ptr<PGresult, decltype(&PQclear)> result(PQexec(connection.get(), sql.c_str()), PQclear);
  const ExecStatusType status = PQresultStatus(result.get());
  EXPECT_TRUE(status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
      << sql << ": " << PQerrorMessage(connection.get());
  return PQntuples(result.get()) == 0 ? "" : PQgetvalue(result.get(), 0, 0);
}

}  // namespace assent::integration
