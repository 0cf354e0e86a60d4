#pragma once

#include <libpq-fe.h>

#include <memory>
#include <string>
#include <vector>

namespace assent {

// A plain blocking connection: the judge of what the adapter did. One thread.
class PlainPostgres {
 public:
  using Rows = std::vector<std::vector<std::string>>;

  explicit PlainPostgres(const std::string& conninfo);

  // Runs it and returns its rows, NULL as "". Adds a test failure where it fails.
  Rows Query(const std::string& sql);
  // The same, without failing: the SQLSTATE of its error, or "".
  std::string TryQuery(const std::string& sql);
  std::string Value(const std::string& sql);  // of the first row's first column; "" for no row
  int CountNotifications();                   // that have come since the last call
  std::string Literal(const std::string& text);

 private:
  std::unique_ptr<PGconn, decltype(&PQfinish)> connection_;
};

// A PostgreSQL cluster of the test's own in a folder that goes with it, on a Unix socket only.
class OwnPostgres {
 public:
  // `settings`: more lines of postgresql.conf. Started.
  explicit OwnPostgres(const std::string& settings = "");
  ~OwnPostgres();

  // Why it could not be made; empty for no reason.
  const std::string& failure() const { return failure_; }

  std::string Conninfo() const;  // without dbname
  void Stop();
  void Start();

 private:
  bool Run(const std::string& command);

  std::string folder_;
  std::string failure_;
  bool running_ = false;
};

}  // namespace assent
