// Participants that are down: at start, between the steps of a transaction, and at random moments under load.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <libpq-fe.h>

#include <chrono>
#include <iostream>
#include <memory>
#include <random>
#include <thread>

#include "tests/integration/assentd_process.h"
#include "tests/integration/await.h"
#include "tests/integration/caller.h"
#include "tests/integration/load.h"
#include "tests/integration/meddling_proxy.h"
#include "tests/integration/own_servers.h"

namespace assent::integration {
namespace {

using grpc::StatusCode;
using testing::HasSubstr;

class OutageTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { servers_ = new OwnServers; }
  static void TearDownTestSuite() { delete std::exchange(servers_, nullptr); }

  void SetUp() override {
    stores_ = std::make_unique<Stores>(servers_->postgres(), servers_->kafka());
    assentd_ = std::make_unique<Assentd>(PostgresParticipant("orders-db", stores_->orders.conninfo()) +
                                             PostgresParticipant("stock-db", stores_->stock.conninfo()) +
                                             KafkaParticipant("events", servers_->kafka()),
                                         "start_patience = \"1s\"");
  }
  void TearDown() override {
    for (const ServerKind kind : {ServerKind::kPostgres, ServerKind::kKafka}) servers_->Start(kind);
    assentd_.reset();
    stores_.reset();
  }

  v1::SubmitRequest Order(int id, const std::vector<std::string>& participants) const {
    v1::SubmitRequest request;
    request.mutable_timeout()->set_seconds(2);
    request.set_wait(v1::COMPLETED);
    for (const std::string& participant : participants) AddBranch(request, participant, WorkAt(participant, id));
    return request;
  }
  v1::Operation WorkAt(const std::string& participant, int id) const {
    if (participant == "orders-db") return SqlWork("INSERT INTO orders VALUES ($1)", {Int(id)});
    if (participant == "stock-db") return SqlWork("INSERT INTO taken VALUES ($1)", {Int(id)});
    return RecordWork(stores_->topic.name(), std::to_string(id), "placed");
  }

  // A transaction with work in a database and in Kafka, before its Commit.
  std::string OpenOrder(Caller& caller, int id) const {
    const std::string txn_id = caller.BeginId(5);
    for (const char* participant : {"orders-db", "events"}) {
      EXPECT_TRUE(caller.Enlist(txn_id, participant).ok());
      EXPECT_TRUE(caller.Execute(txn_id, participant, 1, WorkAt(participant, id)).ok());
    }
    return txn_id;
  }

  // The same assentd, but for what `proxy` does on its way to the orders.
  std::unique_ptr<Assentd> Behind(const MeddlingProxy& proxy) const {
    const std::string conninfo = stores_->orders.conninfo() + " port=" + std::to_string(proxy.port());
    return std::make_unique<Assentd>(PostgresParticipant("orders-db", conninfo) +
                                         PostgresParticipant("stock-db", stores_->stock.conninfo()) +
                                         KafkaParticipant("events", servers_->kafka()),
                                     "start_patience = \"1s\"");
  }
  int PostgresPort() const {
    const std::string& server = servers_->postgres();
    return std::stoi(server.substr(server.find("port=") + 5));
  }
  // The id of an order that is decided, and not carried out where nothing can be committed.
  std::string Decide(Caller& caller, int id) const {
    v1::SubmitRequest request = Order(id, {"orders-db"});
    request.set_wait(v1::DECIDED);
    const auto decided = caller.Submit(request);
    EXPECT_TRUE(decided.ok()) << decided.message();
    return decided.response.txn_id();
  }

  void SetMaxPreparedTransactions(const std::string& value) const {
    {
      const ScratchDatabase admin(servers_->postgres_admin());
      admin.Run("ALTER SYSTEM SET max_prepared_transactions = " + value);
    }
    servers_->Kill(ServerKind::kPostgres);
    servers_->Start(ServerKind::kPostgres);
  }

  // That nothing of order 1 exists, and that order 2 can be placed as soon as everybody is back.
  void ExpectOnlyOrderTwoAfterRecovery(Caller& caller) const {
    EXPECT_TRUE(Await([&] { return caller.Submit(Order(2, {"orders-db", "events"})).ok(); }));
    EXPECT_THAT(stores_->orders.Column("SELECT id FROM orders"), testing::ElementsAre("2"));
    EXPECT_TRUE(Await([&] { return stores_->topic.IsStable(); }));
    const auto records = stores_->topic.ReadCommitted();
    ASSERT_EQ(records.size(), 1u);
    EXPECT_EQ(records[0].key, "2");
    EXPECT_TRUE(Await([&] { return stores_->orders.Prepared().empty(); }));
  }

  static OwnServers* servers_;
  std::unique_ptr<Stores> stores_;
  std::unique_ptr<Assentd> assentd_;
};

OwnServers* OutageTest::servers_ = nullptr;

TEST_F(OutageTest, AParticipantThatIsDownAtStartIsNamedAndTheOthersAreServed) {
  servers_->Kill(ServerKind::kKafka);
  ASSERT_TRUE(assentd_->Start());
  Caller caller(assentd_->NewChannel());
  EXPECT_TRUE(caller.Submit(Order(2, {"orders-db", "stock-db"})).ok());
  const auto refused = caller.Submit(Order(1, {"orders-db", "events"}));
  EXPECT_EQ(refused.code(), StatusCode::UNAVAILABLE) << refused.message();
  EXPECT_THAT(refused.message(), HasSubstr("\"events\" has not said since"));
  ASSERT_TRUE(refused.failure.has_value());
  EXPECT_EQ(refused.failure->outcome(), v1::REFUSED);
  EXPECT_TRUE(refused.failure->retryable());
  servers_->Start(ServerKind::kKafka);
  EXPECT_TRUE(Await([&] { return caller.Submit(Order(3, {"orders-db", "events"})).ok(); })) << "it is found by itself";
  EXPECT_THAT(stores_->orders.Column("SELECT id FROM orders ORDER BY id"), testing::ElementsAre("2", "3"));
}

TEST_F(OutageTest, ADatabaseThatIsDownAtStartIsNamedAndFoundWhenItIsBack) {
  servers_->Kill(ServerKind::kPostgres);
  ASSERT_TRUE(assentd_->Start());
  Caller caller(assentd_->NewChannel());
  EXPECT_TRUE(caller.Submit(Order(7, {"events"})).ok());
  const auto refused = caller.Submit(Order(1, {"orders-db"}));
  EXPECT_EQ(refused.code(), StatusCode::UNAVAILABLE) << refused.message();
  EXPECT_THAT(refused.message(), HasSubstr("orders-db"));
  servers_->Start(ServerKind::kPostgres);
  EXPECT_TRUE(Await([&] { return caller.Submit(Order(2, {"orders-db"})).ok(); }));
  EXPECT_THAT(stores_->orders.Column("SELECT id FROM orders"), testing::ElementsAre("2"));
}

TEST_F(OutageTest, ADatabaseThatCrashesBeforeCommitAborts) {
  ASSERT_TRUE(assentd_->Start());
  Caller caller(assentd_->NewChannel());
  const std::string txn_id = OpenOrder(caller, 1);
  servers_->Kill(ServerKind::kPostgres);
  const auto committed = caller.Commit(txn_id);
  EXPECT_EQ(committed.code(), StatusCode::ABORTED) << committed.message();
  servers_->Start(ServerKind::kPostgres);
  ExpectOnlyOrderTwoAfterRecovery(caller);
}

TEST_F(OutageTest, ABrokerThatCrashesBeforeCommitAborts) {
  ASSERT_TRUE(assentd_->Start());
  Caller caller(assentd_->NewChannel());
  const std::string txn_id = OpenOrder(caller, 1);
  servers_->Kill(ServerKind::kKafka);
  const auto committed = caller.Commit(txn_id);
  EXPECT_EQ(committed.code(), StatusCode::ABORTED) << committed.message();
  servers_->Start(ServerKind::kKafka);
  ExpectOnlyOrderTwoAfterRecovery(caller);
}

TEST_F(OutageTest, ADatabaseThatTakesNoPreparedTransactionsSaysWhatToChange) {
  SetMaxPreparedTransactions("0");
  ASSERT_TRUE(assentd_->Start());
  EXPECT_THAT(assentd_->Log(), HasSubstr("max_prepared_transactions"));
  Caller caller(assentd_->NewChannel());
  const auto refused = caller.Submit(Order(1, {"orders-db", "events"}));
  EXPECT_EQ(refused.code(), StatusCode::ABORTED) << refused.message();
  EXPECT_THAT(refused.message(), HasSubstr("max_prepared_transactions"));
  SetMaxPreparedTransactions("300");
  ExpectOnlyOrderTwoAfterRecovery(caller);
}

TEST_F(OutageTest, ATransactionThatCannotEndHoldsUpNeitherAnotherNorTheStart) {
  MeddlingProxy proxy(PostgresPort());
  const auto assentd = Behind(proxy);
  ASSERT_TRUE(assentd->Start());
  proxy.SpoilAt("COMMIT PREPARED");
  Caller before(assentd->NewChannel());
  const std::string stuck = Decide(before, 1);
  for (int id = 2; id <= 100; ++id) Decide(before, id);
  assentd->Kill();
  proxy.SpoilAt("COMMIT PREPARED 'assent-" + stuck + "-");
  ASSERT_TRUE(assentd->Start());
  Caller after(assentd->NewChannel());
  EXPECT_TRUE(after.Submit(Order(101, {"orders-db", "events"})).ok());
  EXPECT_TRUE(Await([&] { return stores_->orders.Prepared().size() == 1; }));
  EXPECT_EQ(stores_->orders.Value("SELECT count(*) FROM orders WHERE id > 1"), "100");
  const auto description = after.Get(stuck).response;
  EXPECT_EQ(description.state(), v1::STATE_COMMITTING);
  EXPECT_THAT(description.branches(0).waits_for(), HasSubstr("syntax error"));
  proxy.Heal();
  EXPECT_TRUE(Await([&] { return stores_->orders.Prepared().empty(); }));
  EXPECT_EQ(stores_->orders.Value("SELECT count(*) FROM orders"), "101");
}

TEST_F(OutageTest, AThousandTransactionsAreFinishedWithinASecondOfTheReturnOfTheirDatabase) {
  constexpr int kTransactions = 1000;
  SetMaxPreparedTransactions("1300");
  MeddlingProxy proxy(PostgresPort());
  const auto assentd = Behind(proxy);
  ASSERT_TRUE(assentd->Start());
  proxy.SpoilAt("COMMIT PREPARED");
  Caller caller(assentd->NewChannel());
  for (int id = 1; id <= kTransactions; ++id) Decide(caller, id);
  EXPECT_EQ(stores_->orders.Prepared().size(), kTransactions);
  servers_->Kill(ServerKind::kPostgres);
  proxy.Heal();

  const std::jthread starting([&] { servers_->Start(ServerKind::kPostgres); });
  ASSERT_TRUE(Await([&] { return PQping(stores_->orders.conninfo().c_str()) == PQPING_OK; }));
  const auto reachable = std::chrono::steady_clock::now();
  EXPECT_TRUE(Await([&] { return stores_->orders.Prepared().empty(); }));
  const std::chrono::duration<double> resolved = std::chrono::steady_clock::now() - reachable;
  std::cout << "all were finished " << resolved.count() << " s after PostgreSQL could be reached\n";
  EXPECT_LT(resolved.count(), 1);
  EXPECT_EQ(stores_->orders.Value("SELECT count(*) FROM orders"), std::to_string(kTransactions));
}

TEST_F(OutageTest, AfterCrashesOfTheParticipantsUnderLoadEverybodyAgrees) {
  constexpr int kCrashes = 4;
  constexpr int kLongestLifeMs = 1000;
  ASSERT_TRUE(assentd_->Start());
  const unsigned seed = std::random_device()();
  std::cout << "seed " << seed << "\n";
  std::mt19937 random(seed);
  Load load(assentd_->address(), *stores_, 16, absl::Seconds(10));
  for (int i = 0; i < kCrashes; ++i) {
    // A random moment is the point here; no condition is waited for.
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % kLongestLifeMs));
    const ServerKind kind = i % 2 == 0 ? ServerKind::kPostgres : ServerKind::kKafka;
    servers_->Kill(kind);
    servers_->Start(kind);
    const std::size_t before = load.acknowledged_so_far();
    const auto back = std::chrono::steady_clock::now();
    ASSERT_TRUE(Await([&] { return load.acknowledged_so_far() > before; })) << "work goes on after crash " << i + 1;
    const std::chrono::duration<double> idle = std::chrono::steady_clock::now() - back;
    std::cout << (kind == ServerKind::kPostgres ? "PostgreSQL" : "Kafka") << " was back; the next order was committed "
              << idle.count() << " s later\n";
  }
  load.Stop();
  load.ExpectAgreement(*stores_);
}

}  // namespace
}  // namespace assent::integration
