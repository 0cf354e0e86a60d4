// What the server allows: COMMIT PREPARED of all that two databases hold prepared, in one loop around poll(2), each
// connection with the next gid as soon as it has answered. No decision is looked up, and none is noted as carried out.
#include <poll.h>

#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bench/recovery/prepared_watch.h"

namespace assent::bench_recovery {
namespace {

// One database: what it holds prepared, and the connections that finish it.
struct Database {
  std::vector<std::string> gids;
  std::size_t next = 0;  // of the gids
  std::vector<ConnectionPtr> connections;
};

Database Open(const std::string& conninfo, int connections) {
  Database database;
  for (int i = 0; i < connections; ++i) {
    PGconn* const made = database.connections.emplace_back(Connect(conninfo)).get();
    if (PQsetnonblocking(made, 1) != 0) GiveUp(PQerrorMessage(made));
  }
  const ResultPtr held =
      Run(Connect(conninfo).get(), "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()");
  for (int row = 0; row < PQntuples(held.get()); ++row) database.gids.emplace_back(PQgetvalue(held.get(), row, 0));
  return database;
}

// False: nothing is left for it.
bool SendNext(Database& database, PGconn* connection) {
  if (database.next == database.gids.size()) return false;
  const std::string sql = absl::StrCat("COMMIT PREPARED '", database.gids[database.next++], "'");
  if (PQsendQuery(connection, sql.c_str()) != 1 || PQflush(connection) != 0) GiveUp(PQerrorMessage(connection));
  return true;
}

// True when its answer is there.
bool ReadAnswer(PGconn* connection) {
  if (PQconsumeInput(connection) != 1) GiveUp(PQerrorMessage(connection));
  while (PQisBusy(connection) == 0) {
    const ResultPtr result(PQgetResult(connection));
    if (result == nullptr) return true;
    if (std::string(PQcmdStatus(result.get())) != "COMMIT PREPARED") GiveUp(PQresultErrorMessage(result.get()));
  }
  return false;
}

void Finish(std::vector<Database>& databases) {
  struct Busy {
    Database* database;
    PGconn* connection;
  };
  std::vector<Busy> busy;
  for (Database& database : databases) {
    for (const ConnectionPtr& connection : database.connections) {
      if (SendNext(database, connection.get())) busy.push_back({&database, connection.get()});
    }
  }
  std::vector<pollfd> waits;
  while (!busy.empty()) {
    waits.clear();
    for (const Busy& one : busy) waits.push_back({.fd = PQsocket(one.connection), .events = POLLIN, .revents = 0});
    if (poll(waits.data(), waits.size(), -1) < 0) GiveUp("poll failed");
    std::vector<Busy> still;
    for (std::size_t i = 0; i < busy.size(); ++i) {
      const Busy& one = busy[i];
      const bool has_answered = waits[i].revents != 0 && ReadAnswer(one.connection);
      if (!has_answered || SendNext(*one.database, one.connection)) still.push_back(one);
    }
    busy = std::move(still);
  }
}

void Measure(const Arguments& arguments) {
  std::vector<Database> databases;
  std::size_t branches = 0;
  for (const char* name : {"orders", "stock"}) {
    databases.push_back(Open(arguments.Text(name), arguments.Number("connections")));
    branches += databases.back().gids.size();
  }
  PreparedWatch watch(arguments.Text("orders"));
  Finish(databases);
  const PreparedWatch::Seen seen = watch.Await();
  std::printf("{\"branches\": %zu, \"seconds\": %.6f}\n", branches, Seconds(seen.none_left - seen.first_ended));
}

}  // namespace
}  // namespace assent::bench_recovery

int main(int argc, char** argv) {
  assent::bench_recovery::Measure(assent::bench_recovery::Arguments(argc, argv));
  return 0;
}
