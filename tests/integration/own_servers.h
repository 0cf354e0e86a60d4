#pragma once

#include <filesystem>
#include <string>

namespace assent::integration {

enum class ServerKind { kPostgres, kKafka };

// A PostgreSQL and a Kafka broker of one test's own, to crash and to start again on the same ports. They end with the
// process that made them.
class OwnServers {
 public:
  OwnServers();
  ~OwnServers();
  OwnServers(const OwnServers&) = delete;
  OwnServers& operator=(const OwnServers&) = delete;

  const std::string& postgres() const { return postgres_; }  // conninfo without a database
  const std::string& postgres_admin() const { return postgres_admin_; }
  const std::string& kafka() const { return kafka_; }  // host:port

  void Kill(ServerKind kind) const;   // SIGKILL: a crash
  void Start(ServerKind kind) const;  // returns when it answers

 private:
  bool Command(const std::string& words) const;
  std::string Variable(const std::string& name) const;

  const std::filesystem::path folder_;
  std::string postgres_;
  std::string postgres_admin_;
  std::string kafka_;
};

}  // namespace assent::integration
