#include "tests/integration/load.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "tests/integration/await.h"

namespace assent::integration {
namespace {

std::multiset<std::string> AsSet(const std::vector<std::string>& ids) { return {ids.begin(), ids.end()}; }

// Of `all`, those that `some` does not have, or not as often.
std::vector<std::string> LackingIn(const std::multiset<std::string>& some, const std::multiset<std::string>& all) {
  std::vector<std::string> lacking;
  std::set_difference(all.begin(), all.end(), some.begin(), some.end(), std::back_inserter(lacking));
  return lacking;
}

// Back at work at once after a restart: a server that does nothing is killed for nothing.
ClientOptions Impatient(const std::string& address) {
  ClientOptions options{.address = address};
  options.retry.max_delay = absl::Milliseconds(50);
  return options;
}

}  // namespace

Stores::Stores(const std::string& postgres, const std::string& kafka)
    : orders(postgres), stock(postgres), topic(2, kafka) {
  orders.Run("CREATE TABLE orders (id bigint PRIMARY KEY)");
  stock.Run("CREATE TABLE items (id bigint PRIMARY KEY)");  // there is none
  stock.Run("CREATE TABLE taken (id bigint PRIMARY KEY, item bigint REFERENCES items DEFERRABLE INITIALLY DEFERRED)");
}

Load::Load(const std::string& coordinator, const Stores& stores, int clients, absl::Duration timeout,
           int rejected_every)
    : client_(Impatient(coordinator)), topic_(stores.topic.name()), timeout_(timeout), rejected_every_(rejected_every) {
  for (int i = 0; i < clients; ++i) threads_.emplace_back([this] { PlaceOrders(); });
}

Load::~Load() { Stop(); }

void Load::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

std::size_t Load::acknowledged_so_far() const {
  const std::lock_guard lock(mutex_);
  return acknowledged_.size();
}

void Load::Pause() {
  std::unique_lock lock(mutex_);
  paused_ = true;
  changed_.wait(lock, [&] { return under_way_ == 0; });
}

void Load::Resume() {
  {
    const std::lock_guard lock(mutex_);
    paused_ = false;
  }
  changed_.notify_all();
}

void Load::PlaceOrders() {
  while (BeginOrder()) {
    const int id = next_++;
    Note(id, id % 2 == 0 ? AtOnce(id) : StepByStep(id));
    EndOrder();
  }
}

bool Load::BeginOrder() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return stopping_ || !paused_; });
  if (!stopping_) ++under_way_;
  return !stopping_;
}

void Load::EndOrder() {
  {
    const std::lock_guard lock(mutex_);
    --under_way_;
  }
  changed_.notify_all();
}

Sql Load::Taking(int id) const {
  const bool is_rejected = rejected_every_ > 0 && id % rejected_every_ == 0;
  return Sql(is_rejected ? "INSERT INTO taken VALUES ($1, 1)" : "INSERT INTO taken VALUES ($1)", id);
}

absl::Status Load::AtOnce(int id) {
  return client_
      .Submit(Submission()
                  .Do("orders-db", Sql("INSERT INTO orders VALUES ($1)", id))
                  .Do("stock-db", Taking(id))
                  .Do("events", Record(topic_, absl::StrCat(id), "placed"))
                  .RequestId(absl::StrCat("order-", id))
                  .Timeout(timeout_))
      .status();
}

absl::Status Load::StepByStep(int id) {
  auto order = client_.Begin({.timeout = timeout_});
  if (!order.ok()) return order.status();
  // Commit tells how each of these ended.
  for (const char* participant : {"orders-db", "stock-db", "events"}) order->Enlist(participant).IgnoreError();
  order->Execute("orders-db", Sql("INSERT INTO orders VALUES ($1)", id)).IgnoreError();
  order->Execute("stock-db", Taking(id)).IgnoreError();
  order->Execute("events", Record(topic_, absl::StrCat(id), "placed")).IgnoreError();
  return order->Commit().status();
}

void Load::Note(int id, const absl::Status& status) {
  const std::lock_guard lock(mutex_);
  switch (OutcomeOf(status)) {
    case Outcome::kCommitted:
      acknowledged_.insert(absl::StrCat(id));
      return;
    case Outcome::kAborted:
      aborted_.insert(absl::StrCat(id));
      return;
    case Outcome::kUnknown:
      ++unknown_;
  }
}

void Load::ExpectAgreement(const Stores& stores) const {
  const std::lock_guard lock(mutex_);
  std::cout << acknowledged_.size() << " acknowledged, " << aborted_.size() << " aborted, " << unknown_ << " unknown\n";
  EXPECT_TRUE(Await([&] { return stores.orders.Prepared().empty() && stores.stock.Prepared().empty(); }))
      << "left prepared: " << testing::PrintToString(stores.orders.Prepared())
      << testing::PrintToString(stores.stock.Prepared());
  EXPECT_TRUE(Await([&] { return stores.topic.IsStable(); })) << "a Kafka transaction is still open";
  const auto placed = AsSet(stores.orders.Column("SELECT id FROM orders"));
  const auto taken = AsSet(stores.stock.Column("SELECT id FROM taken"));
  std::multiset<std::string> published;
  for (const ReadRecord& record : stores.topic.ReadCommitted()) published.insert(record.key);
  EXPECT_THAT(LackingIn(taken, placed), testing::IsEmpty()) << "placed, and not taken from the stock";
  EXPECT_THAT(LackingIn(placed, taken), testing::IsEmpty()) << "taken from the stock, and not placed";
  EXPECT_THAT(LackingIn(published, placed), testing::IsEmpty()) << "placed, and not published";
  EXPECT_THAT(LackingIn(placed, published), testing::IsEmpty()) << "published, and not placed, or twice";
  EXPECT_THAT(LackingIn(placed, acknowledged_), testing::IsEmpty()) << "acknowledged, and lost";
  for (const std::string& id : aborted_) EXPECT_FALSE(placed.contains(id)) << id << " was told to be aborted";
}

}  // namespace assent::integration
