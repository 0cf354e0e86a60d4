#pragma once

#include <cstdint>
#include <string>

#include "tests/crash/cutting_proxy.h"
#include "tests/integration/servers.h"
#include "tests/participants/kafka/own_kafka.h"

namespace assent::integration {

// A Kafka broker of a test's own that says it is where its proxy is: whoever talks to it goes through that.
class ProxiedKafka {
 public:
  const std::string& failure() const { return broker_.failure(); }  // why it does not run; empty where it does
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  CuttingProxy& proxy() { return proxy_; }

 private:
  static kafka::OwnKafkaOptions Behind(int port) {
    kafka::OwnKafkaOptions options;
    options.settings = {"advertised.listeners=PLAINTEXT://127.0.0.1:" + std::to_string(port)};
    return options;
  }
  static std::uint16_t PortIn(const std::string& server) {
    return static_cast<std::uint16_t>(std::stoi(server.substr(server.find(':') + 1)));
  }

  const int port_ = FreePort();
  kafka::OwnKafka broker_{Behind(port_)};
  CuttingProxy proxy_{static_cast<std::uint16_t>(port_), PortIn(broker_.bootstrap_server()), LengthOfKafkaRequest};
};

}  // namespace assent::integration
