// What was acknowledged, what PostgreSQL holds and what a read_committed consumer reads are the same, each exactly
// once.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <functional>
#include <iostream>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "assent/client.h"
#include "tests/integration/assentd_process.h"
#include "tests/integration/topic.h"

namespace assent::integration {
namespace {

constexpr int kTransactions = 2000;
constexpr int kClients = 64;
constexpr int kTaken = 1'000'000;  // an id that the table holds from the start

std::vector<std::string> Sorted(std::vector<std::string> ids) {
  std::sort(ids.begin(), ids.end());
  return ids;
}

std::vector<std::string> KeysOf(const std::vector<ReadRecord>& records) {
  std::vector<std::string> keys;
  for (const ReadRecord& record : records) keys.push_back(record.key);
  return Sorted(std::move(keys));
}

// Runs `work` for 0 … count - 1, on as many threads as there are clients.
void RunConcurrently(int clients, int count, const std::function<void(int)>& work) {
  std::atomic<int> next = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < clients; ++i) {
    threads.emplace_back([&] {
      for (int number = next++; number < count; number = next++) work(number);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// What the callers were told, by transaction.
class Told {
 public:
  void Note(int number, const absl::Status& status) {
    const std::lock_guard lock(mutex_);
    switch (OutcomeOf(status)) {
      case Outcome::kCommitted:
        committed_.push_back(absl::StrCat(number));
        return;
      case Outcome::kAborted:
        ++aborted_;
        ++reasons_[FailureOf(status)->sqlstate + FailureOf(status)->kafka_error_name];
        return;
      case Outcome::kUnknown:
        ADD_FAILURE() << "transaction " << number << ": " << status;
    }
  }
  std::vector<std::string> committed() const { return Sorted(committed_); }
  int aborted() const { return aborted_; }
  // How many aborts had which SQLSTATE or Kafka error.
  const std::map<std::string, int>& reasons() const { return reasons_; }

 private:
  std::mutex mutex_;
  std::vector<std::string> committed_;
  int aborted_ = 0;
  std::map<std::string, int> reasons_;
};

Sql Insert(int id, int quantity) { return Sql("INSERT INTO orders (id, quantity) VALUES ($1, $2)", id, quantity); }

void CreateOrders(const ScratchDatabase& database) {
  database.Run(
      "CREATE TABLE orders (id bigint PRIMARY KEY, quantity int CHECK (quantity > 0));"
      "CREATE TABLE once (id bigint UNIQUE DEFERRABLE INITIALLY DEFERRED);"
      "INSERT INTO once VALUES (1)");
  database.Run(absl::StrCat("INSERT INTO orders VALUES (", kTaken, ", 1)"));
}

std::vector<std::string> Orders(const ScratchDatabase& database) {
  return Sorted(database.Column(absl::StrCat("SELECT id FROM orders WHERE id <> ", kTaken)));
}

// What the first participant is asked for: every third transaction violates a constraint, some of them only at PREPARE.
Sql WorkOf(int number) {
  if (number % 3 != 0) return Insert(number, 1);
  switch (number / 3 % 3) {
    case 0:
      return Insert(kTaken, 1);
    case 1:
      return Insert(number, 0);
    default:
      return Sql("INSERT INTO once VALUES (1)");
  }
}

// Every other transaction goes step by step.
absl::Status RunTransaction(Client& client, int number, const std::string& second,
                            const std::variant<Sql, Record>& second_work) {
  if (number % 2 == 0) {
    Submission submission;
    submission.Do("orders-db", WorkOf(number));
    std::visit([&](const auto& work) { submission.Do(second, work); }, second_work);
    return client.Submit(submission).status();
  }
  auto transaction = client.Begin();
  if (!transaction.ok()) return transaction.status();
  for (const std::string& participant : {std::string("orders-db"), second}) {
    if (absl::Status enlisted = transaction->Enlist(participant); !enlisted.ok()) return enlisted;
  }
  // Commit tells how each of these ended.
  std::visit([&](const auto& work) { transaction->Execute(second, work).IgnoreError(); }, second_work);
  transaction->Execute("orders-db", WorkOf(number)).IgnoreError();
  return transaction->Commit().status();
}

void ExpectAThirdAborted(const Told& told) {
  EXPECT_EQ(told.aborted(), (kTransactions + 2) / 3);
  EXPECT_GT(told.reasons().at("23505"), 0);
  EXPECT_GT(told.reasons().at("23514"), 0);
}

void Print(const std::string& what, absl::Time began, const Told& told) {
  const double seconds = absl::ToDoubleSeconds(absl::Now() - began);
  std::cout << what << ": " << told.committed().size() << " committed and " << told.aborted() << " aborted in "
            << seconds << " s by " << kClients << " clients, " << kTransactions / seconds << " transactions/s\n";
}

TEST(AgreementTest, PostgresKafkaAndTheCallersAgreeOnEveryTransaction) {
  const ScratchDatabase database;
  const ScratchTopic topic(3);
  CreateOrders(database);
  Assentd assentd(PostgresParticipant("orders-db", database.conninfo()) + KafkaParticipant("events"));
  ASSERT_TRUE(assentd.Start());
  Client client({.address = assentd.address()});
  Told told;
  const absl::Time began = absl::Now();
  RunConcurrently(kClients, kTransactions, [&](int number) {
    told.Note(number, RunTransaction(client, number, "events", Record(topic.name(), absl::StrCat(number), "placed")));
  });
  Print("PostgreSQL + Kafka", began, told);
  ExpectAThirdAborted(told);
  // Orderly: what Kafka still has to be told is told first.
  EXPECT_EQ(assentd.Stop(), 0);
  ASSERT_TRUE(assentd.Start());
  while (!topic.IsStable()) std::this_thread::yield();
  EXPECT_EQ(Orders(database), told.committed());
  EXPECT_EQ(KeysOf(topic.ReadCommitted()), told.committed());
  EXPECT_THAT(database.Prepared(), testing::IsEmpty());
}

TEST(AgreementTest, TwoDatabasesAndTheCallersAgreeOnEveryTransaction) {
  const ScratchDatabase orders;
  const ScratchDatabase stock;
  CreateOrders(orders);
  stock.Run("CREATE TABLE taken (id bigint PRIMARY KEY)");
  Assentd assentd(PostgresParticipant("orders-db", orders.conninfo()) +
                  PostgresParticipant("stock-db", stock.conninfo()));
  ASSERT_TRUE(assentd.Start());
  Client client({.address = assentd.address()});
  Told told;
  const absl::Time began = absl::Now();
  RunConcurrently(kClients, kTransactions, [&](int number) {
    told.Note(number, RunTransaction(client, number, "stock-db", Sql("INSERT INTO taken VALUES ($1)", number)));
  });
  Print("PostgreSQL + PostgreSQL", began, told);
  ExpectAThirdAborted(told);
  EXPECT_EQ(Orders(orders), told.committed());
  EXPECT_EQ(Sorted(stock.Column("SELECT id FROM taken")), told.committed());
  EXPECT_THAT(orders.Prepared(), testing::IsEmpty());
  EXPECT_THAT(stock.Prepared(), testing::IsEmpty());
}

// One row, many writers: each publishes the version that it made. Rule 9.
TEST(AgreementTest, TheEventsOfARowAppearInTheOrderOfItsCommits) {
  constexpr int kWriters = 12;
  constexpr int kVersions = 400;
  const ScratchDatabase database;
  const ScratchTopic topic;
  database.Run("CREATE TABLE item (version bigint); INSERT INTO item VALUES (0)");
  Assentd assentd(PostgresParticipant("items-db", database.conninfo()) + KafkaParticipant("events"));
  ASSERT_TRUE(assentd.Start());
  Client client({.address = assentd.address()});
  RunConcurrently(kWriters, kVersions, [&](int) {
    auto transaction = client.Begin();
    ASSERT_TRUE(transaction.ok()) << transaction.status();
    ASSERT_TRUE(transaction->Enlist("items-db").ok());
    ASSERT_TRUE(transaction->Enlist("events").ok());
    const auto updated =
        transaction->Execute("items-db", Sql("UPDATE item SET version = version + 1 RETURNING version"));
    ASSERT_TRUE(updated.ok()) << updated.status();
    const auto version = updated->rows().at(0).Get<std::int64_t>(0);
    ASSERT_TRUE(version.ok()) << version.status();
    ASSERT_TRUE(transaction->Execute("events", Record(topic.name(), "item", absl::StrCat(*version))).ok());
    const auto committed = transaction->Commit(Wait::kCompleted);
    ASSERT_TRUE(committed.ok()) << committed.status();
  });
  std::vector<int> seen;
  for (const ReadRecord& record : topic.ReadCommitted()) seen.push_back(std::stoi(record.value));
  std::vector<int> expected(kVersions);
  for (int i = 0; i < kVersions; ++i) expected[i] = i + 1;
  EXPECT_EQ(seen, expected);
}

}  // namespace
}  // namespace assent::integration
