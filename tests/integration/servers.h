#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace assent::integration {

// The private servers of this test run, from the environment that deploy/local.sh gives. Without it the process ends
// with a message: a test that finds no server must not pass.
std::string PostgresServer();  // conninfo without a database
std::string KafkaServer();     // host:port

// A port of 127.0.0.1 that is free now, for a server that must come back to it after a crash: none of those that the
// kernel gives to outgoing connections, one of which could take it meanwhile, even by connecting to itself.
int FreePort();

// A name that no other test run uses: `prefix`, then letters and digits.
std::string UniqueName(std::string_view prefix);

// A PostgreSQL database of a test's own, read and written past the coordinator: an independent judge. Dropped at the
// end, with whatever was left prepared in it. A failing statement fails the test.
//
// Not thread-safe.
class ScratchDatabase {
 public:
  // On another server where `server` is given.
  explicit ScratchDatabase(std::string server = PostgresServer());
  ~ScratchDatabase();
  ScratchDatabase(const ScratchDatabase&) = delete;
  ScratchDatabase& operator=(const ScratchDatabase&) = delete;

  std::string conninfo() const;

  void Run(const std::string& sql) const;
  // The first column of every row.
  std::vector<std::string> Column(const std::string& sql) const;
  // The first column of the first row.
  std::string Value(const std::string& sql) const;
  // The gids that stand prepared in it.
  std::vector<std::string> Prepared() const;

 private:
  const std::string server_;
  const std::string name_;
};

}  // namespace assent::integration
