// A thousand transactions at once need neither a thousand threads nor much memory.

#include <gtest/gtest.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <latch>
#include <memory>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/strings/str_cat.h"
#include "assent/client.h"
#include "tests/integration/assentd_process.h"
#include "tests/integration/await.h"
#include "tests/integration/caller.h"
#include "tests/integration/topic.h"

namespace assent::integration {
namespace {

constexpr int kTransactions = 1000;
constexpr long kMaxResidentKilobytes = 200L * 1024;
constexpr int kMaxThreads = 32;

// One transaction, driven by callbacks alone.
class Order {
 public:
  Order(Client& client, int id, std::string topic) : client_(client), id_(id), topic_(std::move(topic)) {}

  // Begins it, enlists both branches and hands its record over.
  void Open(std::latch& opened) {
    client_.BeginAsync({.timeout = absl::Seconds(120)}, [this, &opened](absl::StatusOr<Transaction> begun) {
      if (!begun.ok()) return Fail(begun.status(), opened);
      transaction_ = std::make_unique<Transaction>(*std::move(begun));
      Enlist("orders-db", opened, [this, &opened] { Enlist("events", opened, [this, &opened] { Publish(opened); }); });
    });
  }

  void Finish(std::latch& finished) {
    if (!transaction_) return finished.count_down();
    transaction_->ExecuteAsync("orders-db", std::vector<Sql>{Sql("INSERT INTO orders VALUES ($1)", id_)},
                               [this, &finished](absl::StatusOr<SqlResult> inserted) {
                                 if (!inserted.ok()) return Fail(inserted.status(), finished);
                                 Commit(finished);
                               });
  }

  bool committed() const { return committed_; }
  const absl::Status& error() const { return error_; }

 private:
  void Enlist(const std::string& participant, std::latch& latch, absl::AnyInvocable<void()> then) {
    transaction_->EnlistAsync(participant, participant, {},
                              [this, &latch, then = std::move(then)](absl::Status enlisted) mutable {
                                if (!enlisted.ok()) return Fail(enlisted, latch);
                                then();
                              });
  }
  void Publish(std::latch& opened) {
    transaction_->ExecuteAsync("events", std::vector<Record>{Record(topic_, absl::StrCat(id_), "placed")},
                               [this, &opened](absl::StatusOr<std::int64_t> taken) {
                                 if (!taken.ok()) return Fail(taken.status(), opened);
                                 opened.count_down();
                               });
  }
  void Commit(std::latch& finished) {
    transaction_->CommitAsync(Wait::kCompleted, [this, &finished](absl::StatusOr<CommitResult> result) {
      if (!result.ok()) return Fail(result.status(), finished);
      committed_ = true;
      finished.count_down();
    });
  }
  void Fail(const absl::Status& status, std::latch& latch) {
    error_ = status;
    latch.count_down();
  }

  Client& client_;
  const int id_;
  const std::string topic_;
  std::unique_ptr<Transaction> transaction_;
  bool committed_ = false;
  absl::Status error_;
};

TEST(InFlightTest, AThousandTransactionsAtOnceFitInFewThreadsAndLittleMemory) {
  const ScratchDatabase database;
  const ScratchTopic topic(4);
  database.Run("CREATE TABLE orders (id bigint PRIMARY KEY)");
  Assentd assentd(PostgresParticipant("orders-db", database.conninfo()) + KafkaParticipant("events"));
  ASSERT_TRUE(assentd.Start());
  Client client({.address = assentd.address()});
  std::vector<std::unique_ptr<Order>> orders;
  for (int id = 1; id <= kTransactions; ++id) orders.push_back(std::make_unique<Order>(client, id, topic.name()));

  std::latch opened(kTransactions);
  for (const auto& order : orders) order->Open(opened);
  opened.wait();
  const auto listed = Caller(assentd.NewChannel()).List(kTransactions);
  EXPECT_EQ(listed.response.transactions_size(), kTransactions) << "open at once; " << listed.message();
  const int threads_while_open = assentd.Threads();

  std::latch finished(kTransactions);
  for (const auto& order : orders) order->Finish(finished);
  finished.wait();
  for (const auto& order : orders) EXPECT_TRUE(order->committed()) << order->error();
  EXPECT_EQ(database.Value("SELECT count(*) FROM orders"), absl::StrCat(kTransactions));
  EXPECT_EQ(topic.ReadCommitted().size(), static_cast<std::size_t>(kTransactions));

  std::cout << kTransactions << " transactions in flight: " << threads_while_open << " threads while open, "
            << assentd.Threads() << " after, at most " << assentd.PeakResidentKilobytes() / 1024 << " MiB resident\n";
  EXPECT_LE(threads_while_open, kMaxThreads);
  EXPECT_LE(assentd.Threads(), kMaxThreads);
  EXPECT_LT(assentd.PeakResidentKilobytes(), kMaxResidentKilobytes);
}

// A broker that answers nothing holds up those who need it, and nobody else.
TEST(InFlightTest, AFrozenBrokerHoldsUpOnlyTheTransactionsThatWriteToIt) {
  const char* const broker = std::getenv("ASSENT_TEST_KAFKA_PID");
  ASSERT_NE(broker, nullptr);
  const pid_t pid = std::stoi(broker);
  const ScratchDatabase database;
  const ScratchTopic topic(4);
  database.Run("CREATE TABLE orders (id bigint PRIMARY KEY)");
  Assentd assentd(PostgresParticipant("orders-db", database.conninfo()) + KafkaParticipant("events"));
  ASSERT_TRUE(assentd.Start());
  Client client({.address = assentd.address()});
  ASSERT_TRUE(client.Submit(Submission().Do("events", Record(topic.name(), "0", "placed"))).ok());

  constexpr int kEach = 200;
  std::latch published(kEach);
  std::latch unpublished(kEach);
  std::atomic<int> published_committed = 0;
  std::atomic<int> unpublished_committed = 0;
  ASSERT_EQ(kill(pid, SIGSTOP), 0);
  for (int id = 1; id <= kEach; ++id) {
    client.SubmitAsync(Submission()
                           .Do("orders-db", Sql("INSERT INTO orders VALUES ($1)", id))
                           .Do("events", Record(topic.name(), absl::StrCat(id), "placed"))
                           .Timeout(absl::Seconds(60)),
                       [&](const absl::StatusOr<SubmitResult>& result) {
                         published_committed += result.ok() ? 1 : 0;
                         published.count_down();
                       });
  }
  for (int id = kEach + 1; id <= 2 * kEach; ++id) {
    client.SubmitAsync(
        Submission().Do("orders-db", Sql("INSERT INTO orders VALUES ($1)", id)).Timeout(absl::Seconds(60)),
        [&](const absl::StatusOr<SubmitResult>& result) {
          EXPECT_TRUE(result.ok()) << result.status();
          unpublished_committed += result.ok() ? 1 : 0;
          unpublished.count_down();
        });
  }
  unpublished.wait();
  EXPECT_EQ(unpublished_committed, kEach);
  EXPECT_EQ(published_committed, 0);
  ASSERT_EQ(kill(pid, SIGCONT), 0);
  published.wait();
  EXPECT_EQ(published_committed, kEach);
  EXPECT_TRUE(Await([&] { return topic.IsStable(); }));
  EXPECT_EQ(topic.ReadCommitted().size(), static_cast<std::size_t>(kEach) + 1);
  EXPECT_EQ(database.Value("SELECT count(*) FROM orders"), absl::StrCat(2 * kEach));
}

}  // namespace
}  // namespace assent::integration
