#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace assent::kafka {

// Beside the listener in the clear that every broker has, and that its own traffic takes.
struct OwnListener {
  std::string name;      // "BOTH"
  std::string protocol;  // "SASL_SSL"
};

struct OwnKafkaOptions {
  std::vector<OwnListener> listeners;
  std::vector<std::string> settings;     // further lines of server.properties
  std::vector<std::string> scram_users;  // "SCRAM-SHA-256=[name=…,password=…]"
  int node = 1;
  std::map<int, std::uint16_t> quorum;  // controllers' ports, by node; empty: this one alone
  bool starts = true;                   // with the constructor
};

// A broker of a test's own, which it may stop: one process, with a data folder that goes with it.
class OwnKafka {
 public:
  // Java and the jars are those that the environment names (deploy/local.sh).
  explicit OwnKafka(OwnKafkaOptions options = {});
  ~OwnKafka();
  OwnKafka(const OwnKafka&) = delete;
  OwnKafka& operator=(const OwnKafka&) = delete;

  // Why it does not run; empty where it does.
  const std::string& failure() const { return failure_; }
  // Of a listener; of the one in the clear where none is named.
  std::string bootstrap_server(const std::string& listener = "PLAINTEXT") const {
    return "127.0.0.1:" + std::to_string(ports_.at(listener));
  }

  void Start() {  // returns when it answers
    Launch();
    AwaitAnswer();
  }
  void Launch();  // dies with the thread that calls
  void AwaitAnswer();
  void Stop();    // by SIGKILL, as a crash would
  void Freeze();  // by SIGSTOP: it answers nothing, and its connections stay
  void Thaw();

 private:
  void WriteConfiguration();
  pid_t Spawn(const std::string& main_class, const std::string& arguments) const;
  bool Answers() const;

  const OwnKafkaOptions options_;
  std::string java_;
  std::string libraries_;
  std::string folder_;
  std::map<std::string, std::uint16_t> ports_;  // by listener
  std::map<int, std::uint16_t> quorum_;
  pid_t pid_ = -1;
  std::string failure_;
};

// Three brokers that are one cluster, each a controller too.
class OwnCluster {
 public:
  explicit OwnCluster(const std::vector<std::string>& settings = {});

  std::string failure() const;
  std::vector<std::string> bootstrap_servers() const;
  std::string AnyBootstrapServer() const { return bootstrap_servers().front(); }
  OwnKafka& node(int number) { return *nodes_.at(number); }  // from 1
  int size() const { return static_cast<int>(nodes_.size()); }

 private:
  std::map<int, std::unique_ptr<OwnKafka>> nodes_;
};

}  // namespace assent::kafka
