// SIGKILL of assentd at random moments under load: after each restart everybody agrees, and nothing stays in doubt.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <iostream>
#include <mutex>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "assent/client.h"
#include "tests/integration/assentd_process.h"
#include "tests/integration/topic.h"

namespace assent::integration {
namespace {

constexpr int kKills = 20;
constexpr int kClients = 32;
constexpr int kLongestLifeMs = 600;  // of an assentd, from its start to its kill
constexpr auto kPatience = std::chrono::seconds(60);

// Clients that place orders until they are told to stop, over every restart.
class Load {
 public:
  Load(const std::string& address, std::string topic) : client_(Impatient(address)), topic_(std::move(topic)) {
    for (int i = 0; i < kClients; ++i) threads_.emplace_back([this] { PlaceOrders(); });
  }
  ~Load() { Stop(); }

  void Stop() {
    stopping_ = true;
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }
  // After Stop().
  const std::multiset<std::string>& acknowledged() const { return acknowledged_; }
  int aborted() const { return aborted_; }
  int unknown() const { return unknown_; }

 private:
  // Back at work at once after a restart: an assentd that does nothing is killed for nothing.
  static ClientOptions Impatient(const std::string& address) {
    ClientOptions options{.address = address};
    options.retry.max_delay = absl::Milliseconds(50);
    return options;
  }

  void PlaceOrders() {
    while (!stopping_) {
      const int id = next_++;
      Note(id, id % 2 == 0 ? AtOnce(id) : StepByStep(id));
    }
  }

  absl::Status AtOnce(int id) {
    return client_
        .Submit(Submission()
                    .Do("orders-db", Sql("INSERT INTO orders VALUES ($1)", id))
                    .Do("stock-db", Sql("INSERT INTO taken VALUES ($1)", id))
                    .Do("events", Record(topic_, absl::StrCat(id), "placed"))
                    .RequestId(absl::StrCat("order-", id)))
        .status();
  }

  absl::Status StepByStep(int id) {
    auto order = client_.Begin({.timeout = absl::Seconds(5)});
    if (!order.ok()) return order.status();
    for (const char* participant : {"orders-db", "stock-db", "events"}) order->Enlist(participant).IgnoreError();
    // Commit tells how each of these ended.
    order->Execute("orders-db", Sql("INSERT INTO orders VALUES ($1)", id)).IgnoreError();
    order->Execute("stock-db", Sql("INSERT INTO taken VALUES ($1)", id)).IgnoreError();
    order->Execute("events", Record(topic_, absl::StrCat(id), "placed")).IgnoreError();
    return order->Commit().status();
  }

  void Note(int id, const absl::Status& status) {
    const std::lock_guard lock(mutex_);
    switch (OutcomeOf(status)) {
      case Outcome::kCommitted:
        acknowledged_.insert(absl::StrCat(id));
        return;
      case Outcome::kAborted:
        ++aborted_;
        return;
      case Outcome::kUnknown:
        ++unknown_;
    }
  }

  Client client_;
  const std::string topic_;
  std::atomic<bool> stopping_ = false;
  std::atomic<int> next_ = 1;
  std::mutex mutex_;
  std::multiset<std::string> acknowledged_;
  int aborted_ = 0;
  int unknown_ = 0;
  std::vector<std::thread> threads_;
};

template <typename Condition>
bool Await(Condition condition) {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return true;
}

std::multiset<std::string> AsSet(const std::vector<std::string>& ids) { return {ids.begin(), ids.end()}; }

TEST(KillTest, AfterTwentyKillsEverybodyAgreesAndNothingIsInDoubt) {
  const ScratchDatabase orders;
  const ScratchDatabase stock;
  const ScratchTopic topic(2);
  orders.Run("CREATE TABLE orders (id bigint PRIMARY KEY)");
  stock.Run("CREATE TABLE taken (id bigint PRIMARY KEY)");
  Assentd assentd(PostgresParticipant("orders-db", orders.conninfo()) +
                  PostgresParticipant("stock-db", stock.conninfo()) + KafkaParticipant("events"));
  ASSERT_TRUE(assentd.Start());
  const unsigned seed = std::random_device()();
  std::cout << "seed " << seed << "\n";
  std::mt19937 random(seed);
  Load load(assentd.address(), topic.name());
  for (int i = 0; i < kKills; ++i) {
    // A random moment is the point here; no condition is waited for.
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % kLongestLifeMs));
    assentd.Kill();
    ASSERT_TRUE(assentd.Start()) << "after kill " << i + 1;
  }
  load.Stop();
  std::cout << load.acknowledged().size() << " acknowledged, " << load.aborted() << " aborted, " << load.unknown()
            << " unknown, over " << kKills << " kills\n";

  EXPECT_TRUE(Await([&] { return orders.Prepared().empty() && stock.Prepared().empty(); }))
      << "left prepared: " << testing::PrintToString(orders.Prepared()) << testing::PrintToString(stock.Prepared());
  EXPECT_TRUE(Await([&] { return topic.IsStable(); })) << "a Kafka transaction is still open";

  const auto placed = AsSet(orders.Column("SELECT id FROM orders"));
  const auto taken = AsSet(stock.Column("SELECT id FROM taken"));
  std::multiset<std::string> published;
  for (const ReadRecord& record : topic.ReadCommitted()) published.insert(record.key);
  EXPECT_EQ(placed, taken);
  EXPECT_EQ(placed, published);
  EXPECT_TRUE(std::includes(placed.begin(), placed.end(), load.acknowledged().begin(), load.acknowledged().end()))
      << "an acknowledged order is lost";
  EXPECT_GT(load.acknowledged().size(), static_cast<std::size_t>(kKills));
}

}  // namespace
}  // namespace assent::integration
