#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

namespace assent::kafka {

// A broker of a test's own, which it may stop: one process, with a data folder that goes with it.
class OwnKafka {
 public:
  // Java and the jars are those that the environment names (deploy/local.sh).
  OwnKafka();
  ~OwnKafka();
  OwnKafka(const OwnKafka&) = delete;
  OwnKafka& operator=(const OwnKafka&) = delete;

  // Why it does not run; empty where it does.
  const std::string& failure() const { return failure_; }
  std::string bootstrap_server() const { return "127.0.0.1:" + std::to_string(port_); }

  void Start();  // returns when it answers
  void Stop();   // by SIGKILL, as a crash would

 private:
  void WriteConfiguration();
  pid_t Spawn(const std::string& main_class, const std::string& arguments) const;
  bool Answers() const;

  std::string java_;
  std::string libraries_;
  std::string folder_;
  std::uint16_t port_ = 0;
  std::uint16_t controller_port_ = 0;
  pid_t pid_ = -1;
  std::string failure_;
};

}  // namespace assent::kafka
