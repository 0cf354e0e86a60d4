#include "bench/recovery/prepared_watch.h"

#include "absl/strings/str_cat.h"

namespace assent::bench_recovery {

ConnectionPtr Connect(const std::string& conninfo) {
  ConnectionPtr connection(PQconnectdb(conninfo.c_str()));
  if (PQstatus(connection.get()) != CONNECTION_OK) GiveUp(PQerrorMessage(connection.get()));
  return connection;
}

ResultPtr Run(PGconn* connection, const std::string& sql) {
  ResultPtr result(PQexec(connection, sql.c_str()));
  const ExecStatusType status = PQresultStatus(result.get());
  if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
    GiveUp(absl::StrCat(sql, ": ", PQerrorMessage(connection)));
  }
  return result;
}

PreparedWatch::PreparedWatch(const std::string& conninfo)
    : connection_(Connect(conninfo)), oldest_(Oldest()), thread_([this] { Watch(); }) {}

PreparedWatch::Seen PreparedWatch::Await() {
  thread_.join();
  return seen_;
}

// The first that the server names. Not through its view pg_prepared_xacts, which would sort out all of them.
std::string PreparedWatch::Oldest() {
  const ResultPtr result = Run(connection_.get(), "SELECT pg_catalog.pg_prepared_xact() LIMIT 1");
  return PQntuples(result.get()) == 0 ? "" : PQgetvalue(result.get(), 0, 0);
}

void PreparedWatch::Watch() {
  const Clock::time_point give_up = Clock::now() + kPatience;
  bool has_one_ended = false;
  for (std::string oldest = oldest_;; oldest = Oldest()) {
    const Clock::time_point now = Clock::now();
    if (!has_one_ended && (oldest.empty() || oldest != oldest_)) {
      has_one_ended = true;
      seen_.first_ended = now;
    }
    if (oldest.empty()) {
      seen_.none_left = now;
      return;
    }
    if (now > give_up) GiveUp(absl::StrCat("still prepared: ", oldest));
    std::this_thread::sleep_for(kInterval);
  }
}

}  // namespace assent::bench_recovery
