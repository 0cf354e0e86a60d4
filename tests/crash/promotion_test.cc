// A PostgreSQL primary is lost, and an asynchronous standby takes its place (streaming, pg_promote): one that has
// everything, one that never got a prepared transaction, and one that never got the end of a committed one, which is
// prepared again there.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/crash/own_postgres.h"
#include "tests/integration/assentd_process.h"
#include "tests/integration/await.h"
#include "tests/integration/caller.h"
#include "tests/integration/meddling_proxy.h"
#include "tests/integration/servers.h"
#include "tests/integration/tool.h"

namespace assent::integration {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr int kFound = 1;  // docs/operations.md, "Exit codes"

// orders-db is in the server that is lost, and is reached through a proxy; stock-db is in another one.
class PromotionTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(primary_.failure() + standby_.failure(), "");
    orders_ = std::make_unique<ScratchDatabase>(primary_.conninfo());
    orders_->Run("CREATE TABLE orders (id bigint PRIMARY KEY)");
    stock_.Run("CREATE TABLE taken (id bigint PRIMARY KEY)");
    primary_.AwaitReplay();
    assentd_ = std::make_unique<Assentd>(
        PostgresParticipant("orders-db", absl::StrCat(orders_->conninfo(), " port=", proxy_.port())) +
            PostgresParticipant("stock-db", stock_.conninfo()),
        "[transactions]\nsweep_interval = \"200ms\"\n");
    ASSERT_TRUE(assentd_->Start());
  }

  // A transaction that is decided, and that orders-db, which is cut off, has not heard of.
  void CommitWithoutOrders() {
    v1::SubmitRequest order;
    AddBranch(order, "orders-db", SqlWork("INSERT INTO orders VALUES (1)"));
    AddBranch(order, "stock-db", SqlWork("INSERT INTO taken VALUES (1)"));
    order.set_wait(v1::DECIDED);
    CutAt("COMMIT PREPARED", [&] {
      const auto submitted = Caller(assentd_->NewChannel()).Submit(order);
      EXPECT_TRUE(submitted.ok()) << submitted.message();
      id_ = submitted.response.txn_id();
    });
    EXPECT_EQ(orders_->Prepared().size(), 1u);
  }

  template <typename Meanwhile>
  void CutAt(const std::string& word, Meanwhile meanwhile) {
    proxy_.CutAt(word);
    meanwhile();
    EXPECT_TRUE(Await([&] { return proxy_.has_cut(); }));
  }

  // Everything that the standby is to have, it has; what comes later it never gets.
  void CutTheStandbyOff() {
    primary_.AwaitReplay();
    standby_.Stop();
  }

  void LoseThePrimary() {
    primary_.Stop();
    standby_.TakePlaceOf(primary_);
    ASSERT_EQ(standby_.failure(), "");
  }

  v1::TransactionState State() const { return Caller(assentd_->NewChannel()).Get(id_).response.state(); }
  bool HasEnded() const { return orders_->Prepared().empty() && State() == v1::STATE_COMMITTED; }

  Ran Assent(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"--address", assentd_->address()});
    return RunAssent(arguments);
  }

  void ExpectTheOrderEverywhere() const {
    EXPECT_TRUE(Await([&] { return HasEnded(); }));
    EXPECT_EQ(orders_->Value("SELECT count(*) FROM orders"), "1");
    EXPECT_EQ(stock_.Value("SELECT count(*) FROM taken"), "1");
    EXPECT_EQ(Assent({"heuristics"}).exit_code, 0);
  }

  OwnPostgres primary_;
  OwnPostgres standby_{OwnPostgres::StandbyOf{primary_}};
  std::unique_ptr<ScratchDatabase> orders_;
  ScratchDatabase stock_;
  MeddlingProxy proxy_{primary_.port()};
  std::unique_ptr<Assentd> assentd_;
  std::string id_;
};

TEST_F(PromotionTest, ABranchThatTheStandbyHasPreparedIsCommittedThere) {
  CommitWithoutOrders();
  CutTheStandbyOff();
  LoseThePrimary();
  proxy_.Heal();
  EXPECT_TRUE(Await([&] { return Assent({"participants"}).out.find("hot standby") != std::string::npos; }))
      << "it must not be asked before it takes writes: it does not show what is prepared";
  standby_.Promote();
  ExpectTheOrderEverywhere();
}

// The server cannot say what became of it; and by now other transactions have its transaction id.
TEST_F(PromotionTest, APreparedBranchThatTheStandbyNeverGotIsAHeuristicOutcome) {
  CutTheStandbyOff();
  CommitWithoutOrders();
  LoseThePrimary();
  standby_.Promote();
  EXPECT_TRUE(orders_->Prepared().empty()) << "it is lost";
  orders_->Run("DO $$ BEGIN FOR i IN 1..100 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$");
  proxy_.Heal();
  EXPECT_TRUE(Await([&] { return HasEnded(); }));
  EXPECT_EQ(orders_->Value("SELECT count(*) FROM orders"), "0");
  EXPECT_EQ(stock_.Value("SELECT count(*) FROM taken"), "1");
  const Ran heuristics = Assent({"heuristics"});
  EXPECT_EQ(heuristics.exit_code, kFound);
  EXPECT_THAT(heuristics.out, AllOf(HasSubstr(id_), HasSubstr("orders-db"), HasSubstr("timeline")));
}

// Of an ended transaction, which the coordinator remembers, or finds in its log.
class BroughtBackTest : public PromotionTest, public testing::WithParamInterface<bool> {};

TEST_P(BroughtBackTest, ACommittedBranchThatIsPreparedAgainIsCommittedAgain) {
  const bool restarts = GetParam();
  CommitWithoutOrders();
  CutTheStandbyOff();
  proxy_.Heal();
  ExpectTheOrderEverywhere();
  CutAt("SELECT", [] {});  // the next sweep
  if (restarts) assentd_->Kill();
  LoseThePrimary();
  standby_.Promote();
  EXPECT_EQ(orders_->Prepared().size(), 1u) << "it is back";
  EXPECT_EQ(orders_->Value("SELECT count(*) FROM orders"), "0");
  proxy_.Heal();
  if (restarts) {
    ASSERT_TRUE(assentd_->Start());
  }
  ExpectTheOrderEverywhere();
  EXPECT_THAT(assentd_->Log(), HasSubstr("it is committed again"));
}

INSTANTIATE_TEST_SUITE_P(Coordinator, BroughtBackTest, testing::Bool(),
                         [](const auto& restarts) { return restarts.param ? "Restarts" : "GoesOn"; });

}  // namespace
}  // namespace assent::integration
