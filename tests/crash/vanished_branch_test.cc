// A prepared branch that somebody ends by hand behind the coordinator's back, before its transaction is decided and
// after: the branch ends in the exact outcome, or in a heuristic one that `assent heuristics` shows, also after a
// restart. Never in silence.
//
// One case is missing on purpose: what is committed by hand, while assentd is down, of a transaction that was not
// decided to commit. Presumed abort has written nothing of it, so that there is nobody to notice (docs/protocol.md,
// "A branch that somebody else ended").
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <libpq-fe.h>

#include <memory>
#include <ostream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/ids.h"
#include "tests/integration/assentd_process.h"
#include "tests/integration/await.h"
#include "tests/integration/caller.h"
#include "tests/integration/load.h"
#include "tests/integration/meddling_proxy.h"
#include "tests/integration/tool.h"

namespace assent::integration {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr int kFound = 1;  // docs/operations.md, "Exit codes"

enum class When { kBeforeTheDecision, kAfterTheDecision };
enum class Ended { kCommitted, kRolledBack };

struct ByHand {
  When when;
  Ended by_hand;
  Ended decided;
  bool assentd_is_down;  // meanwhile
};

std::string NameOf(const ByHand& c) {
  return absl::StrCat(c.by_hand == Ended::kCommitted ? "Committed" : "RolledBack",
                      c.when == When::kBeforeTheDecision ? "BeforeADecisionTo" : "AfterADecisionTo",
                      c.decided == Ended::kCommitted ? "Commit" : "Abort",
                      c.assentd_is_down ? "WhileAssentdIsDown" : "");
}

void PrintTo(const ByHand& c, std::ostream* out) { *out << NameOf(c); }

std::vector<ByHand> AllCases() {
  using enum Ended;
  std::vector<ByHand> cases;
  for (const When when : {When::kBeforeTheDecision, When::kAfterTheDecision}) {
    for (const Ended by_hand : {kCommitted, kRolledBack}) {
      for (const Ended decided : {kCommitted, kRolledBack}) {
        cases.push_back({when, by_hand, decided, /*assentd_is_down=*/false});
      }
    }
  }
  // While it is down nothing is decided to commit.
  cases.push_back({When::kBeforeTheDecision, kRolledBack, kRolledBack, /*assentd_is_down=*/true});
  for (const Ended by_hand : {kCommitted, kRolledBack}) {
    cases.push_back({When::kAfterTheDecision, by_hand, kCommitted, /*assentd_is_down=*/true});
  }
  cases.push_back({When::kAfterTheDecision, kRolledBack, kRolledBack, /*assentd_is_down=*/true});
  return cases;
}

int PortIn(const std::string& conninfo) { return std::stoi(conninfo.substr(conninfo.find("port=") + 5)); }

// What all cases work on. orders-db is reached through a proxy, which cuts it off where a test says.
struct World {
  Stores stores;
  MeddlingProxy proxy{PortIn(PostgresServer())};
  Assentd assentd{PostgresParticipant("orders-db", absl::StrCat(stores.orders.conninfo(), " port=", proxy.port())) +
                      PostgresParticipant("stock-db", stores.stock.conninfo()) + KafkaParticipant("events"),
                  "[transactions]\nsweep_interval = \"200ms\"\n"};
  int orders = 0;
};

// The order is prepared in orders-db, where it is then ended by hand. It is decided by the stock, which has no item 1:
// when it can, because what it works on is locked until the test lets go.
class VanishedBranchTest : public testing::TestWithParam<ByHand> {
 protected:
  static void SetUpTestSuite() {
    world_ = new World;
    ASSERT_TRUE(world_->assentd.Start());
  }
  static void TearDownTestSuite() { delete std::exchange(world_, nullptr); }

  void TearDown() override {
    LetTheStockDecide();
    world_->proxy.Heal();
    if (submitting_.joinable()) submitting_.join();
  }

  void Submit() {
    const bool commits = GetParam().decided == Ended::kCommitted;
    v1::SubmitRequest order;
    AddBranch(order, "orders-db", SqlWork("INSERT INTO orders VALUES ($1)", {Int(id_)}));
    AddBranch(order, "stock-db",
              SqlWork(commits ? "INSERT INTO taken VALUES ($1)" : "INSERT INTO taken VALUES ($1, 1)", {Int(id_)}));
    AddBranch(order, "events", RecordWork(world_->stores.topic.name(), std::to_string(id_), "placed"));
    order.set_wait(v1::DECIDED);
    PQclear(PQexec(locking_.get(), "BEGIN; LOCK TABLE taken"));
    submitting_ = std::thread([this, order] { submitted_ = Caller(world_->assentd.NewChannel()).Submit(order); });
    ASSERT_TRUE(Await([&] { return world_->stores.orders.Prepared().size() == 1; }));
    gid_ = world_->stores.orders.Prepared().front();
  }

  void LetTheStockDecide() {
    if (PQtransactionStatus(locking_.get()) == PQTRANS_INTRANS) PQclear(PQexec(locking_.get(), "ROLLBACK"));
  }

  // Decided, and nobody can tell orders-db.
  void DecideWithoutOrders() {
    world_->proxy.CutAt(GetParam().decided == Ended::kCommitted ? "COMMIT PREPARED" : "ROLLBACK PREPARED");
    LetTheStockDecide();
    ASSERT_TRUE(Await([&] { return world_->proxy.has_cut(); }));
    submitting_.join();
    EXPECT_EQ(submitted_.code(),
              GetParam().decided == Ended::kCommitted ? grpc::StatusCode::OK : grpc::StatusCode::ABORTED);
  }

  void EndByHand() const {
    const std::string verb = GetParam().by_hand == Ended::kCommitted ? "COMMIT" : "ROLLBACK";
    world_->stores.orders.Run(verb + " PREPARED '" + gid_ + "'");
  }

  // Without what an earlier process had sent, and nobody waits for.
  void EndBackends() const {
    world_->stores.stock.Run(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name LIKE 'assent/%'");
  }

  std::string TxnId() const { return ParseGid(gid_)->txn.ToString(); }

  Ran Assent(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"--address", world_->assentd.address()});
    return RunAssent(arguments);
  }

  bool HasEnded() const {
    const auto described = Caller(world_->assentd.NewChannel()).Get(TxnId());
    return described.response.state() == v1::STATE_COMMITTED || described.response.state() == v1::STATE_ABORTED;
  }

  // Every other branch has followed the decision; of this one it is told whether it has.
  void ExpectTheExactOutcomeOrAHeuristicOne() const {
    const bool is_committed = GetParam().decided == Ended::kCommitted;
    const bool is_exact = GetParam().by_hand == GetParam().decided;
    const Stores& stores = world_->stores;
    EXPECT_TRUE(Await([&] { return HasEnded() && stores.stock.Prepared().empty() && stores.topic.IsStable(); }));
    EXPECT_EQ(stores.orders.Prepared().size(), 0u);
    const std::string count = absl::StrCat(" WHERE id = ", id_);
    EXPECT_EQ(stores.orders.Value("SELECT count(*) FROM orders" + count),
              GetParam().by_hand == Ended::kCommitted ? "1" : "0");
    EXPECT_EQ(stores.stock.Value("SELECT count(*) FROM taken" + count), is_committed ? "1" : "0");
    bool is_published = false;
    for (const ReadRecord& record : stores.topic.ReadCommitted()) {
      is_published = is_published || record.key == std::to_string(id_);
    }
    EXPECT_EQ(is_published, is_committed);
    EXPECT_EQ(Caller(world_->assentd.NewChannel()).Get(TxnId()).response.outcome(),
              is_committed ? v1::COMMITTED : v1::ABORTED);
    ExpectHeuristic(!is_exact);
  }

  void ExpectHeuristic(bool is_heuristic) const {
    const Ran heuristics = Assent({"heuristics"});
    if (!is_heuristic) {
      EXPECT_THAT(heuristics.out, testing::Not(HasSubstr(TxnId() + " ")));
      return;
    }
    EXPECT_EQ(heuristics.exit_code, kFound);
    EXPECT_THAT(heuristics.out,
                AllOf(HasSubstr(TxnId() + " "), HasSubstr("not as decided"), HasSubstr("ended by others")));
    EXPECT_THAT(Assent({"show", TxnId()}).out, HasSubstr("heuristic"));
  }

  static World* world_;
  const int id_ = ++world_->orders;
  std::unique_ptr<PGconn, decltype(&PQfinish)> locking_{PQconnectdb(world_->stores.stock.conninfo().c_str()), PQfinish};
  std::thread submitting_;
  Called<v1::SubmitResponse> submitted_;
  std::string gid_;
};

World* VanishedBranchTest::world_ = nullptr;

TEST_P(VanishedBranchTest, EndsInTheExactOutcomeOrInAHeuristicOneThatIsShown) {
  const ByHand& c = GetParam();
  ASSERT_NO_FATAL_FAILURE(Submit());
  if (c.when == When::kAfterTheDecision) {
    ASSERT_NO_FATAL_FAILURE(DecideWithoutOrders());
  }
  if (c.assentd_is_down) {
    world_->assentd.Kill();
    EndBackends();
  }
  EndByHand();
  LetTheStockDecide();
  world_->proxy.Heal();
  if (c.assentd_is_down) {
    ASSERT_TRUE(world_->assentd.Start());
  }
  ExpectTheExactOutcomeOrAHeuristicOne();
  if (c.by_hand == c.decided) return;
  world_->assentd.Kill();
  ASSERT_TRUE(world_->assentd.Start());
  ExpectHeuristic(true);
}

INSTANTIATE_TEST_SUITE_P(ByHand, VanishedBranchTest, testing::ValuesIn(AllCases()),
                         [](const auto& test) { return NameOf(test.param); });

}  // namespace
}  // namespace assent::integration
