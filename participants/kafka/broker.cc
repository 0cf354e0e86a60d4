#include "participants/kafka/broker.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/jitter.h"

namespace assent::kafka {

Broker::Broker(boost::asio::io_context& loop, const KafkaOptions& options, const Security& security,
               std::string client_id, Address address, int connections, Events events)
    : loop_(loop),
      options_(options),
      security_(security),
      client_id_(std::move(client_id)),
      address_(std::move(address)),
      events_(std::move(events)),
      connections_(static_cast<std::size_t>(std::max(1, connections))),
      backoffs_(connections_.size(), options.first_reconnect),
      jitter_(std::random_device{}()),
      last_failure_(absl::StrCat("broker ", address_.ToString(), " is not connected yet")),
      delayed_calls_(loop) {}

Broker::~Broker() {
  for (const auto& connection : connections_) {
    if (connection) connection->Close();
  }
}

void Broker::Connect() {
  for (std::size_t slot = 0; slot < connections_.size(); ++slot) Open(slot);
}

void Broker::GiveUp() {
  given_up_ = true;
  for (const auto& connection : connections_) {
    if (connection) connection->Fail("it has left the cluster, or has another address now");
  }
}

void Broker::Open(std::size_t slot) {
  auto was_ready = std::make_shared<bool>(false);
  Connection::Events events;
  events.ready = [this, slot, was_ready](const wire::ApiVersionsResponse& versions) {
    *was_ready = true;
    versions_ = versions;
    backoffs_[slot] = options_.first_reconnect;
    if (++ready_connections_ == 1) events_.up();
  };
  events.failed = [this, slot, was_ready](const std::string& why) {
    has_failed_ = true;
    last_failure_ = why;
    if (*was_ready) --ready_connections_;
    if (given_up_) return;
    Reopen(slot);
    if (ready_connections_ > 0) return;
    if (*was_ready) events_.lost();
    events_.down();
  };
  // A machine that is frozen, or has no power any more, says nothing on any of them: each would take as long to tell.
  events.silent = [this](const std::string& why) {
    const auto connections = connections_;  // those that fail are made anew meanwhile
    for (const auto& connection : connections) {
      if (connection && connection->ready()) connection->Fail(why);
    }
  };
  connections_[slot] =
      std::make_shared<Connection>(loop_, options_, security_, client_id_, address_, std::move(events));
  connections_[slot]->Connect();
}

void Broker::Reopen(std::size_t slot) {
  delayed_calls_.After(Jittered(backoffs_[slot], jitter_), [this, slot] { Open(slot); });
  backoffs_[slot] = std::min(backoffs_[slot] * 2, options_.last_reconnect);
}

Connection* Broker::LeastLoaded() {
  Connection* best = nullptr;
  for (const auto& connection : connections_) {
    if (!connection || !connection->ready()) continue;
    if (best == nullptr || connection->load() < best->load()) best = connection.get();
  }
  return best;
}

}  // namespace assent::kafka
