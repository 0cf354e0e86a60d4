#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>

namespace assent::integration {

// A PostgreSQL server of one test's own, which it may end, and replace by a standby. It dies with the thread that
// started it; its data goes with the object.
class OwnPostgres {
 public:
  OwnPostgres();  // an empty one, with a database "orders", as a ScratchDatabase needs it
  struct StandbyOf {
    const OwnPostgres& primary;
  };
  explicit OwnPostgres(StandbyOf standby);  // streams from it, asynchronously
  ~OwnPostgres();
  OwnPostgres(const OwnPostgres&) = delete;
  OwnPostgres& operator=(const OwnPostgres&) = delete;

  // Why it does not run; empty where it does.
  const std::string& failure() const { return failure_; }
  std::string conninfo() const;  // of a superuser, without a database
  int port() const { return port_; }

  void Stop();  // at once, as a crash
  // Starts a standby that was stopped in the place of a server that is gone, on its port: it follows nobody, and takes
  // no writes before Promote().
  void TakePlaceOf(const OwnPostgres& lost);
  void Promote() const;  // returns when it takes writes
  // Waits until a standby has replayed all that this server has written.
  void AwaitReplay() const;

 private:
  void MakeFolder() const;
  void Run(const std::string& program, const std::string& arguments);  // of PostgreSQL's
  void Start(const std::string& more = "");                            // returns when it answers
  std::string Ask(const std::string& sql) const;
  std::string data() const { return (folder_ / "data").string(); }

  const std::filesystem::path folder_;
  int port_;
  pid_t pid_ = 0;
  std::string failure_;
};

}  // namespace assent::integration
