#include "tests/integration/servers.h"

#include <gtest/gtest.h>
#include <libpq-fe.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>
#include <random>

#include "absl/strings/str_cat.h"

namespace assent::integration {
namespace {

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr) {
    std::cerr << name << " is not set: run through deploy/local.sh run -- …, as ctest does\n";
    std::exit(2);
  }
  return value;
}

using Connection = std::unique_ptr<PGconn, decltype(&PQfinish)>;
using Result = std::unique_ptr<PGresult, decltype(&PQclear)>;

// One statement on a connection of its own: nothing that an earlier statement left there can colour what it sees.
std::vector<std::string> Query(const std::string& conninfo, const std::string& sql) {
  const Connection connection(PQconnectdb(conninfo.c_str()), PQfinish);
  if (PQstatus(connection.get()) != CONNECTION_OK) {
    ADD_FAILURE() << conninfo << ": " << PQerrorMessage(connection.get());
    return {};
  }
  const Result result(PQexec(connection.get(), sql.c_str()), PQclear);
  const ExecStatusType status = PQresultStatus(result.get());
  if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
    ADD_FAILURE() << sql << ": " << PQresultErrorMessage(result.get());
    return {};
  }
  std::vector<std::string> column;
  for (int row = 0; row < PQntuples(result.get()); ++row) column.emplace_back(PQgetvalue(result.get(), row, 0));
  return column;
}

}  // namespace

std::string PostgresServer() { return Environment("ASSENT_TEST_POSTGRES"); }
std::string KafkaServer() { return Environment("ASSENT_TEST_KAFKA"); }

int FreePort() {
  int first_outgoing = 32768;
  std::ifstream("/proc/sys/net/ipv4/ip_local_port_range") >> first_outgoing;
  std::mt19937 random(std::random_device{}());
  std::uniform_int_distribution<int> below(10'000, first_outgoing > 12'000 ? first_outgoing - 1 : 65'535);
  for (int attempt = 0; attempt < 1000; ++attempt) {
    const int port = below(random);
    const int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    const bool is_free = bind(probe, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
    close(probe);
    if (is_free) return port;
  }
  ADD_FAILURE() << "no free port";
  return 0;
}

std::string UniqueName(std::string_view prefix) {
  static std::atomic<int> count = 0;
  static const auto started = std::chrono::system_clock::now().time_since_epoch().count();
  return absl::StrCat(std::string(prefix), absl::Hex(started / 1000), "p", getpid(), "n", ++count);
}

ScratchDatabase::ScratchDatabase(std::string server) : server_(std::move(server)), name_(UniqueName("it")) {
  Query(server_ + " dbname=orders", "CREATE DATABASE " + name_);
}

ScratchDatabase::~ScratchDatabase() {
  for (const std::string& gid : Prepared()) Run("ROLLBACK PREPARED '" + gid + "'");
  Query(server_ + " dbname=orders", "DROP DATABASE " + name_ + " WITH (FORCE)");
}

std::string ScratchDatabase::conninfo() const { return server_ + " dbname=" + name_; }

void ScratchDatabase::Run(const std::string& sql) const { Query(conninfo(), sql); }

std::vector<std::string> ScratchDatabase::Column(const std::string& sql) const { return Query(conninfo(), sql); }

std::string ScratchDatabase::Value(const std::string& sql) const {
  const std::vector<std::string> column = Column(sql);
  return column.empty() ? "" : column.front();
}

std::vector<std::string> ScratchDatabase::Prepared() const {
  return Column("SELECT gid FROM pg_prepared_xacts WHERE database = current_database() ORDER BY gid");
}

}  // namespace assent::integration
