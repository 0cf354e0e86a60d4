// An order service: each order is a row in a database and an event in Kafka, and must never be one without the other.
// Written against the client library alone; deploy/demo.sh runs it.
//
// The database has: CREATE TABLE orders (id bigint PRIMARY KEY, item text, quantity int CHECK (quantity > 0))

#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <atomic>
#include <cstdint>
#include <iostream>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "assent/client.h"

namespace {

constexpr int kAttempts = 5;  // of one order, where each is aborted by what may pass
constexpr std::array<const char*, 3> kItems = {"tea", "coffee", "cocoa"};

struct Settings {
  std::string coordinator = "127.0.0.1:7411";
  std::string scene = "commit";
  std::string database = "orders-db";
  std::string broker = "events";
  std::string topic = "orders";
  std::string ack_file;
  std::int64_t first_id = 1;
  std::int64_t orders = 1000;
  int clients = 16;
};

struct Order {
  std::int64_t id = 0;
  std::string item;
  int quantity = 1;
};

assent::Sql InsertOf(const Order& order) {
  return assent::Sql("INSERT INTO orders (id, item, quantity) VALUES ($1, $2, $3)", order.id, order.item,
                     order.quantity);
}

assent::Record EventOf(const Order& order, const std::string& topic) {
  return assent::Record(
      topic, absl::StrCat(order.id),
      absl::StrCat("{\"id\":", order.id, ",\"item\":\"", order.item, "\",\"quantity\":", order.quantity, "}"));
}

int Complain(const absl::Status& status) {
  std::cerr << "order_service: " << absl::StatusCodeToString(status.code()) << ": " << status.message() << "\n";
  return 1;
}

// Opens a transaction and does an order's work in both stores; nothing is visible to others yet.
absl::StatusOr<assent::Transaction> DoWork(assent::Client& client, const Settings& settings, const Order& order,
                                           absl::Duration timeout) {
  auto transaction = client.Begin({.timeout = timeout, .labels = {{"service", "order_service"}}});
  if (!transaction.ok()) return transaction.status();
  for (const std::string& participant : {settings.database, settings.broker}) {
    if (absl::Status enlisted = transaction->Enlist(participant); !enlisted.ok()) return enlisted;
  }
  auto inserted = transaction->Execute(settings.database, InsertOf(order));
  if (!inserted.ok()) return inserted.status();
  auto published = transaction->Execute(settings.broker, EventOf(order, settings.topic));
  if (!published.ok()) return published.status();
  return transaction;
}

int PlaceOrder(assent::Client& client, const Settings& settings) {
  const Order order{settings.first_id, "tea", 2};
  auto transaction = DoWork(client, settings, order, absl::Seconds(30));
  if (!transaction.ok()) return Complain(transaction.status());
  auto committed = transaction->Commit(assent::Wait::kCompleted);
  if (!committed.ok()) return Complain(committed.status());
  std::cout << "order " << order.id << " is placed, in transaction " << committed->txn_id << "\n";
  return 0;
}

int PlaceOrderOfNothing(assent::Client& client, const Settings& settings) {
  const Order order{settings.first_id, "tea", 0};
  auto result = client.Submit(
      assent::Submission().Do(settings.database, InsertOf(order)).Do(settings.broker, EventOf(order, settings.topic)));
  if (result.ok()) return Complain(absl::InternalError("an order of nothing was committed"));
  const auto failure = assent::FailureOf(result.status());
  if (!failure || failure->outcome != assent::Outcome::kAborted) return Complain(result.status());
  std::cout << "order " << order.id << " is aborted: SQLSTATE " << failure->sqlstate << ", " << failure->reason << "\n";
  return 0;
}

// Like a service that is killed: no destructor runs, nobody says Abort.
int DieBeforeCommit(assent::Client& client, const Settings& settings) {
  const Order order{settings.first_id, "tea", 1};
  auto transaction = DoWork(client, settings, order, absl::Seconds(3));
  if (!transaction.ok()) return Complain(transaction.status());
  std::cout << "order " << order.id << " is written in transaction " << transaction->id() << "; dying before Commit"
            << std::endl;
  _exit(0);
}

// A file of the orders that were acknowledged, one id a line, each written only after its OK.
class AcknowledgedOrders {
 public:
  explicit AcknowledgedOrders(const std::string& path)
      : file_(path.empty() ? -1 : open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644)) {}
  ~AcknowledgedOrders() {
    if (file_ >= 0) close(file_);
  }

  bool Add(std::int64_t id) {
    if (file_ < 0) return true;
    const std::string line = absl::StrCat(id, "\n");
    return write(file_, line.data(), line.size()) == static_cast<ssize_t>(line.size());
  }
  bool usable(const std::string& path) const { return path.empty() || file_ >= 0; }

 private:
  const int file_;
};

// One order, once: the request_id makes a repeat harmless, within the call and after a crash of the coordinator. An
// abort that a new attempt may cure gets one, under a new name.
absl::Status SubmitOrder(assent::Client& client, const Settings& settings, const Order& order) {
  absl::Status status;
  for (int attempt = 1; attempt <= kAttempts; ++attempt) {
    status = client
                 .Submit(assent::Submission()
                             .Do(settings.database, InsertOf(order))
                             .Do(settings.broker, EventOf(order, settings.topic))
                             .RequestId(absl::StrCat("order-", order.id, "-", attempt)))
                 .status();
    const auto failure = assent::FailureOf(status);
    if (!failure || failure->outcome != assent::Outcome::kAborted || !failure->retryable) return status;
  }
  return status;
}

struct Counts {
  std::atomic<std::int64_t> committed = 0;
  std::atomic<std::int64_t> aborted = 0;
  std::atomic<std::int64_t> unknown = 0;
};

void CountOrder(const Order& order, const absl::Status& status, AcknowledgedOrders& acknowledged, Counts& counts) {
  switch (assent::OutcomeOf(status)) {
    case assent::Outcome::kCommitted:
      if (acknowledged.Add(order.id)) ++counts.committed;
      return;
    case assent::Outcome::kAborted:
      ++counts.aborted;
      break;
    case assent::Outcome::kUnknown:
      ++counts.unknown;
      break;
  }
  std::cerr << absl::StrCat("order ", order.id, ": ", status.ToString(), "\n");
}

int PlaceManyOrders(assent::Client& client, const Settings& settings) {
  AcknowledgedOrders acknowledged(settings.ack_file);
  if (!acknowledged.usable(settings.ack_file)) {
    return Complain(absl::InvalidArgumentError(absl::StrCat(settings.ack_file, " cannot be written")));
  }
  Counts counts;
  std::atomic<std::int64_t> next = 0;
  const absl::Time started = absl::Now();
  std::vector<std::thread> clients;
  clients.reserve(static_cast<std::size_t>(settings.clients));
  for (int i = 0; i < settings.clients; ++i) {
    clients.emplace_back([&] {
      for (std::int64_t number = next++; number < settings.orders; number = next++) {
        const Order order{settings.first_id + number, kItems[number % kItems.size()], static_cast<int>(1 + number % 9)};
        CountOrder(order, SubmitOrder(client, settings, order), acknowledged, counts);
      }
    });
  }
  for (std::thread& thread : clients) thread.join();
  const double seconds = absl::ToDoubleSeconds(absl::Now() - started);
  std::cout << absl::StrCat("committed ", counts.committed.load(), ", aborted ", counts.aborted.load(), ", unknown ",
                            counts.unknown.load(), " of ", settings.orders, " orders in ", seconds, " s\n");
  return counts.committed == settings.orders ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  Settings settings;
  CLI::App app{"An order service: each order is a row in a database and an event in Kafka, or neither"};
  app.add_option("--coordinator", settings.coordinator, "Address of assentd")->capture_default_str();
  app.add_option("--scene", settings.scene,
                 "commit: place one order; violate: an order of nothing; die: stop before Commit; load: many orders")
      ->check(CLI::IsMember({"commit", "violate", "die", "load"}))
      ->capture_default_str();
  app.add_option("--orders", settings.orders, "How many, in scene load")->capture_default_str();
  app.add_option("--clients", settings.clients, "How many at once, in scene load")->capture_default_str();
  app.add_option("--ack-file", settings.ack_file, "Where scene load notes each acknowledged order's id");
  app.add_option("--first-id", settings.first_id, "Id of the first order")->capture_default_str();
  app.add_option("--database", settings.database, "Participant that keeps the orders")->capture_default_str();
  app.add_option("--broker", settings.broker, "Participant that takes the events")->capture_default_str();
  app.add_option("--topic", settings.topic, "Topic of the events")->capture_default_str();
  CLI11_PARSE(app, argc, argv);

  assent::Client client({.address = settings.coordinator});
  if (settings.scene == "commit") return PlaceOrder(client, settings);
  if (settings.scene == "violate") return PlaceOrderOfNothing(client, settings);
  if (settings.scene == "die") return DieBeforeCommit(client, settings);
  return PlaceManyOrders(client, settings);
}
