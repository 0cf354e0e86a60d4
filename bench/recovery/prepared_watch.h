#pragma once

#include <libpq-fe.h>

#include <memory>
#include <string>
#include <thread>

#include "bench/recovery/arguments.h"

namespace assent::bench_recovery {

struct CloseConnection {
  void operator()(PGconn* connection) const { PQfinish(connection); }
};
using ConnectionPtr = std::unique_ptr<PGconn, CloseConnection>;

struct ClearResult {
  void operator()(PGresult* result) const { PQclear(result); }
};
using ResultPtr = std::unique_ptr<PGresult, ClearResult>;

ConnectionPtr Connect(const std::string& conninfo);

// A failing statement ends the process.
ResultPtr Run(PGconn* connection, const std::string& sql);

// Looks every kInterval whether a server still holds anything prepared. It looks on from the side, whoever finishes
// what is prepared, so that each arm is timed in the same way; a look copies the server's list, and costs it a
// millisecond.
class PreparedWatch {
 public:
  static constexpr auto kInterval = std::chrono::milliseconds(40);

  // The watch begins: what stands prepared now is taken for all there is.
  explicit PreparedWatch(const std::string& conninfo);

  struct Seen {
    Clock::time_point first_ended;  // the oldest has ended
    Clock::time_point none_left;
  };
  // Waits until nothing is prepared; kPatience at most.
  Seen Await();

 private:
  static constexpr auto kPatience = std::chrono::seconds(120);

  std::string Oldest();
  void Watch();

  const ConnectionPtr connection_;
  const std::string oldest_;
  Seen seen_;
  std::thread thread_;
};

}  // namespace assent::bench_recovery
