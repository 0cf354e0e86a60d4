#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "participants/kafka/connection.h"
#include "participants/kafka/delayed_calls.h"
#include "participants/kafka/kafka_options.h"

namespace assent::kafka {

// One broker: its connections, each made again with jittered backoff whenever it has failed.
//
// Owned by the Cluster, used on the shard's thread.
class Broker {
 public:
  struct Events {
    std::function<void()> up;    // the first connection is ready
    std::function<void()> lost;  // the last has failed; before `down`
    std::function<void()> down;  // the last has failed, or none could be made
  };

  Broker(boost::asio::io_context& loop, const KafkaOptions& options, const Security& security, std::string client_id,
         Address address, int connections, Events events);
  ~Broker();
  Broker(const Broker&) = delete;
  Broker& operator=(const Broker&) = delete;

  void Connect();

  // For a broker that has left the cluster or moved: its requests complete, and it is not connected to again.
  void GiveUp();

  // Sends a request on the connection with the least to do. Without any it completes at once as kNotSent.
  template <typename Request>
  void Call(const Request& request, absl::AnyInvocable<void(Answer<typename Request::Response>)> done) {
    if (Connection* connection = LeastLoaded()) return connection->Call(request, std::move(done));
    done({.delivery = Delivery::kNotSent, .message = last_failure_});
  }

  const Address& address() const { return address_; }
  bool is_up() const { return ready_connections_ > 0; }
  bool has_failed() const { return has_failed_; }  // ever
  const std::string& last_failure() const { return last_failure_; }

  // What the broker said of itself when it was last connected to; nothing in it before.
  const wire::ApiVersionsResponse& versions() const { return versions_; }

 private:
  void Open(std::size_t slot);
  void Reopen(std::size_t slot);
  Connection* LeastLoaded();

  boost::asio::io_context& loop_;
  const KafkaOptions& options_;
  const Security& security_;
  const std::string client_id_;
  const Address address_;
  const Events events_;
  std::vector<std::shared_ptr<Connection>> connections_;
  std::vector<absl::Duration> backoffs_;  // of each connection
  std::minstd_rand jitter_;
  int ready_connections_ = 0;
  bool has_failed_ = false;
  std::string last_failure_;
  bool given_up_ = false;
  wire::ApiVersionsResponse versions_;
  DelayedCalls delayed_calls_;
};

}  // namespace assent::kafka
