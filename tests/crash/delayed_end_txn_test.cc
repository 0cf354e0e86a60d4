// An EndTxn that is delayed on its way: the coordinator has given it up, has ended the transaction by another one, and
// is in the next transaction of the transactional id when the first arrives. Under transactions V1 producer id and
// epoch do not name one transaction, so that it could end that one, undecided; a new epoch for each transaction rules
// it out.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <libpq-fe.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "tests/crash/proxied_kafka.h"
#include "tests/integration/assentd_process.h"
#include "tests/integration/await.h"
#include "tests/integration/caller.h"
#include "tests/integration/load.h"

namespace assent::integration {
namespace {

constexpr std::int16_t kProduce = 0;  // API keys
constexpr std::int16_t kEndTxn = 26;

// Of an EndTxn or a Produce: the first thing in it, behind the client id, which begins like it.
std::string TransactionalIdIn(std::string_view request) {
  const std::size_t begin = request.rfind("assent-");
  if (begin == std::string_view::npos) return "";
  const std::size_t end = request.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-", begin);
  return std::string(request.substr(begin, end - begin));
}

struct World {
  ProxiedKafka kafka;
  Stores stores{PostgresServer(), kafka.address()};
  Assentd assentd{PostgresParticipant("stock-db", stores.stock.conninfo()) +
                      KafkaParticipant("events", kafka.address(), "max_transactional_ids = 1"),
                  "shards = 1\n"};
  int orders = 0;
  std::vector<std::string> published;
};

// An order that has produced its record, and is undecided until it is let go: its stock waits for a lock.
class HeldOrder {
 public:
  HeldOrder(World& world, int id, bool commits)
      : locking_(PQconnectdb(world.stores.stock.conninfo().c_str()), PQfinish) {
    PQclear(PQexec(locking_.get(), "BEGIN; LOCK TABLE taken"));
    v1::SubmitRequest order;
    // There is no such item, which the stock finds out when it prepares.
    AddBranch(order, "stock-db",
              SqlWork(commits ? "INSERT INTO taken VALUES ($1)" : "INSERT INTO taken VALUES ($1, 1)", {Int(id)}));
    AddBranch(order, "events", RecordWork(world.stores.topic.name(), std::to_string(id), "placed"));
    order.mutable_branches(1)->mutable_options()->mutable_kafka()->set_order(v1::UNORDERED);
    order.set_wait(v1::COMPLETED);
    submitting_ = std::thread(
        [this, order, channel = world.assentd.NewChannel()] { submitted_ = Caller(channel).Submit(order); });
    EXPECT_TRUE(Await([&] { return !world.stores.topic.IsStable(); })) << "its record was not produced";
  }
  ~HeldOrder() { LetGo(); }
  HeldOrder(const HeldOrder&) = delete;
  HeldOrder& operator=(const HeldOrder&) = delete;

  // How it ended.
  grpc::StatusCode LetGo() {
    locking_.reset();
    if (submitting_.joinable()) submitting_.join();
    return submitted_.code();
  }

 private:
  std::unique_ptr<PGconn, decltype(&PQfinish)> locking_;
  std::thread submitting_;
  Called<v1::SubmitResponse> submitted_;
};

class DelayedEndTxnTest : public testing::TestWithParam<std::tuple<Cut, bool, bool>> {
 protected:
  static void SetUpTestSuite() {
    world_ = new World;
    ASSERT_EQ(world_->kafka.failure(), "");
    ASSERT_TRUE(world_->assentd.Start());
    // A broker needs a while to know a new topic.
    v1::SubmitRequest first;
    AddBranch(first, "events", RecordWork(world_->stores.topic.name(), "first", "placed"));
    ASSERT_TRUE(Await([&] { return Caller(world_->assentd.NewChannel()).Submit(first).ok(); }));
    world_->published.emplace_back("first");
  }
  static void TearDownTestSuite() { delete std::exchange(world_, nullptr); }

  static grpc::StatusCode CodeOf(bool commits) { return commits ? grpc::StatusCode::OK : grpc::StatusCode::ABORTED; }

  // Delays or repeats the next EndTxn; gets its transactional id when it has come.
  static std::shared_ptr<std::string> MeddleWithEndTxn(Cut cut) {
    auto id = std::make_shared<std::string>();
    const auto is_it = [id](std::string_view request) {
      if (KafkaApiKeyOf(request) != kEndTxn) return false;
      *id = TransactionalIdIn(request);
      return true;
    };
    world_->kafka.proxy().CutNext(is_it, cut);
    return id;
  }

  static void ExpectPublished() {
    std::vector<std::string> keys;
    for (const ReadRecord& record : world_->stores.topic.ReadCommitted()) keys.push_back(record.key);
    EXPECT_THAT(keys, testing::UnorderedElementsAreArray(world_->published));
  }

  static World* world_;
};

World* DelayedEndTxnTest::world_ = nullptr;

TEST_P(DelayedEndTxnTest, OfOneTransactionDoesNotEndTheNext) {
  const auto [cut, first_commits, second_commits] = GetParam();
  CuttingProxy& proxy = world_->kafka.proxy();
  const int first = ++world_->orders;
  const int second = ++world_->orders;
  const ScratchTopic& topic = world_->stores.topic;

  const auto id = MeddleWithEndTxn(cut);
  EXPECT_EQ(HeldOrder(*world_, first, first_commits).LetGo(), CodeOf(first_commits));
  ASSERT_TRUE(Await([&] { return proxy.has_cut() && topic.IsStable(); })) << "it ends all the same";
  if (first_commits) world_->published.push_back(std::to_string(first));
  ExpectPublished();

  const auto is_used_again = std::make_shared<std::atomic<bool>>(false);
  const auto note = [is_used_again, id](std::string_view request) {
    if (KafkaApiKeyOf(request) == kProduce && TransactionalIdIn(request) == *id) *is_used_again = true;
    return false;
  };
  proxy.CutNext(note, Cut::kBeforeTheRequest);  // which it never finds
  HeldOrder next(*world_, second, second_commits);
  EXPECT_TRUE(*is_used_again) << *id;
  proxy.Deliver();
  ASSERT_TRUE(Await([&] { return proxy.has_delivered(); }));
  EXPECT_FALSE(topic.IsStable()) << "the delayed EndTxn has ended the next transaction";
  EXPECT_EQ(next.LetGo(), CodeOf(second_commits));
  EXPECT_TRUE(Await([&] { return topic.IsStable(); }));
  if (second_commits) world_->published.push_back(std::to_string(second));
  ExpectPublished();
}

std::string Ending(bool commits) { return commits ? "Commit" : "Abort"; }

INSTANTIATE_TEST_SUITE_P(FirstAndSecond, DelayedEndTxnTest,
                         testing::Combine(testing::Values(Cut::kDelayed, Cut::kRepeated), testing::Bool(),
                                          testing::Bool()),
                         [](const auto& test) {
                           return NameOf(std::get<0>(test.param)) + Ending(std::get<1>(test.param)) + "Then" +
                                  Ending(std::get<2>(test.param));
                         });

}  // namespace
}  // namespace assent::integration
