#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "assent/client.h"
#include "tests/integration/servers.h"
#include "tests/integration/topic.h"

namespace assent::integration {

// What a load works on: two databases and a topic, each of which gets every order once or never.
struct Stores {
  explicit Stores(const std::string& postgres = PostgresServer(), const std::string& kafka = KafkaServer());

  ScratchDatabase orders;
  ScratchDatabase stock;
  ScratchTopic topic;
};

// Clients that place orders until they are told to stop, whatever happens to the servers meanwhile. The coordinator's
// participants are called orders-db, stock-db and events.
class Load {
 public:
  // `coordinator` is its address. Each order has `timeout` to be decided. Every so many orders, one is refused by the
  // stock when it prepares; 0: none.
  Load(const std::string& coordinator, const Stores& stores, int clients, absl::Duration timeout,
       int rejected_every = 0);
  ~Load();
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  void Stop();
  std::size_t acknowledged_so_far() const;

  // When Pause() returns no order is under way, and none begins before Resume().
  void Pause();
  void Resume();

  // After Stop() or Pause(): fails the test unless every store comes to hold the same orders, each once, among them
  // every acknowledged one and none that was told to be aborted, with nothing left in doubt.
  void ExpectAgreement(const Stores& stores) const;

 private:
  void PlaceOrders();
  bool BeginOrder();
  void EndOrder();
  absl::Status AtOnce(int id);
  absl::Status StepByStep(int id);
  Sql Taking(int id) const;
  void Note(int id, const absl::Status& status);

  Client client_;
  const std::string topic_;
  const absl::Duration timeout_;
  const int rejected_every_;
  std::atomic<int> next_ = 1;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  bool paused_ = false;
  int under_way_ = 0;
  std::multiset<std::string> acknowledged_;
  std::set<std::string> aborted_;
  int unknown_ = 0;
  std::vector<std::thread> threads_;
};

}  // namespace assent::integration
