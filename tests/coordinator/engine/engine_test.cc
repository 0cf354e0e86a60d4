// The engine with its threads, on a real decision log.

#include "coordinator/engine/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <future>
#include <set>
#include <thread>

#include "coordinator/log/rocksdb_decision_log.h"
#include "tests/coordinator/engine/coordinator_under_test.h"

namespace assent {
namespace {

using testing::HasSubstr;

class EngineTest : public testing::Test {
 protected:
  EngineTest() {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    folder_ =
        std::filesystem::temp_directory_path() / ("assent-engine-test-" + std::to_string(getpid()) + test->name());
    Start();
  }
  ~EngineTest() override {
    engine_.reset();
    log_.reset();
    std::filesystem::remove_all(folder_);
  }

  void Start() {
    auto log = OpenDecisionLog({.data_dir = folder_.string(), .coordinator = "orders"});
    ASSERT_TRUE(log.ok()) << log.status();
    log_ = *std::move(log);
    EngineOptions options{.shards = shards_};
    const auto make = [this](const char* name, ParticipantKind kind) {
      // Each shard has a store of its own here: fakes are not shared between threads.
      return [this, name, kind](const ParticipantContext& context) -> absl::StatusOr<std::unique_ptr<Participant>> {
        auto participant =
            std::make_unique<FakeParticipant>(name, kind, stores_[kind == ParticipantKind::kBroker][context.shard]);
        participant->hold_votes = hold_votes_;
        return participant;
      };
    };
    auto engine = Engine::Start(options, *log_, SystemClock(),
                                {make("db", ParticipantKind::kDatabase), make("events", ParticipantKind::kBroker)});
    ASSERT_TRUE(engine.ok()) << engine.status();
    engine_ = *std::move(engine);
    identity_ = engine_->CheckIdentity(absl::Seconds(5), [] { return false; });
  }

  template <typename Response, typename Request>
  absl::StatusOr<Response> Call(void (Engine::*call)(Request, Reply<Response>), Request request) {
    return Send(call, std::move(request)).get();
  }
  template <typename Response, typename Request>
  std::future<absl::StatusOr<Response>> Send(void (Engine::*call)(Request, Reply<Response>), Request request) {
    auto promise = std::make_shared<std::promise<absl::StatusOr<Response>>>();
    auto future = promise->get_future();
    (engine_.get()->*call)(std::move(request),
                           [promise](absl::StatusOr<Response> response) { promise->set_value(std::move(response)); });
    return future;
  }

  std::filesystem::path folder_;
  std::uint32_t shards_ = 2;
  FakeStore stores_[2][2];
  bool hold_votes_ = false;
  std::unique_ptr<DecisionLog> log_;
  std::unique_ptr<Engine> engine_;
  absl::Status identity_;  // of the last start
};

TEST_F(EngineTest, ManyThreadsSubmitAndEachTransactionCommitsOnce) {
  ASSERT_TRUE(engine_->CheckIdentity(absl::Seconds(5), [] { return false; }).ok());
  std::mutex mutex;
  std::set<std::string> ids;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 100; ++i) {
        const auto request = CoordinatorUnderTest::SubmitBoth(i % 2 ? "" : std::to_string(t) + "-" + std::to_string(i));
        const auto submitted = Call(&Engine::Submit, request);
        ASSERT_TRUE(submitted.ok()) << submitted.status();
        const std::lock_guard lock(mutex);
        ids.insert(submitted->txn_id());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(ids.size(), 400u);
  std::size_t committed = 0;
  engine_.reset();
  for (const FakeStore& store : stores_[0]) committed += store.committed.size();
  EXPECT_EQ(committed, 400u);
}

TEST_F(EngineTest, OutcomesAreKnownAfterARestartAlsoWithAnotherNumberOfShards) {
  const auto named = Call(&Engine::Submit, CoordinatorUnderTest::SubmitBoth("r1"));
  const auto unnamed = Call(&Engine::Submit, CoordinatorUnderTest::SubmitBoth(""));
  const auto begun = Call(&Engine::Begin, v1::BeginRequest());
  engine_.reset();
  log_.reset();
  shards_ = 1;
  Start();
  for (const std::string& id : {named->txn_id(), unnamed->txn_id(), begun->txn_id()}) {
    v1::GetTransactionRequest request;
    request.set_txn_id(id);
    EXPECT_EQ(Call(&Engine::GetTransaction, request)->outcome(), id == begun->txn_id() ? v1::ABORTED : v1::COMMITTED);
  }
  const auto again = Call(&Engine::Submit, CoordinatorUnderTest::SubmitBoth("r1"));
  EXPECT_EQ(again->txn_id(), named->txn_id());
  EXPECT_TRUE(again->results_omitted());
}

TEST_F(EngineTest, ListMergesTheShardsInOrderAndPages) {
  for (int i = 0; i < 7; ++i) ASSERT_TRUE(Call(&Engine::Begin, v1::BeginRequest()).ok());
  v1::ListTransactionsRequest request;
  request.set_page_size(3);
  std::vector<std::uint64_t> sequences;
  std::vector<int> pages;
  do {
    const auto page = Call(&Engine::ListTransactions, request);
    ASSERT_TRUE(page.ok());
    pages.push_back(page->transactions_size());
    for (const auto& transaction : page->transactions())
      sequences.push_back(ParseTxnId(transaction.txn_id())->sequence);
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  EXPECT_THAT(pages, testing::ElementsAre(3, 3, 1));
  EXPECT_TRUE(std::is_sorted(sequences.begin(), sequences.end()));
  request.set_page_token("nonsense");
  EXPECT_EQ(Call(&Engine::ListTransactions, request).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(EngineTest, ParticipantsAreListedOnceWithWhatAllShardsKnow) {
  ASSERT_TRUE(engine_->CheckIdentity(absl::Seconds(5), [] { return false; }).ok());
  for (int i = 0; i < 4; ++i) {
    const auto begun = Call(&Engine::Begin, v1::BeginRequest());
    v1::EnlistRequest enlist;
    enlist.set_txn_id(begun->txn_id());
    enlist.set_participant("db");
    enlist.set_branch("db");
    ASSERT_TRUE(Call(&Engine::Enlist, enlist).ok());
  }
  const auto listed = Call(&Engine::ListParticipants, v1::ListParticipantsRequest());
  ASSERT_TRUE(listed.ok()) << listed.status();
  ASSERT_EQ(listed->participants_size(), 2);
  EXPECT_EQ(listed->participants(0).name(), "db");
  EXPECT_EQ(listed->participants(0).open(), 4) << "of two shards";
  EXPECT_TRUE(listed->participants(0).takes_branches());
  EXPECT_EQ(listed->participants(0).prepared_limit(), 300);
  ASSERT_EQ(listed->participants(0).findings_size(), 1) << "a participant is asked once, and not by each shard";
  EXPECT_EQ(listed->participants(0).findings(0).subject(), "participant db");
}

TEST_F(EngineTest, OfWhatTheBranchesOfSeveralShardsHideTheMostIsTold) {
  engine_.reset();
  log_.reset();
  stores_[1][0].hidden = {.records = 3, .place = "orders[0]", .is_partial = true};
  stores_[1][1].hidden = {.records = 12, .place = "orders[1]"};
  Start();
  const auto listed = Call(&Engine::ListParticipants, v1::ListParticipantsRequest());
  ASSERT_TRUE(listed.ok()) << listed.status();
  EXPECT_FALSE(listed->participants(0).has_hidden());
  EXPECT_EQ(listed->participants(1).hidden(), 12);
  EXPECT_EQ(listed->participants(1).hidden_in(), "orders[1]");
  EXPECT_TRUE(listed->participants(1).hidden_is_partial());
}

TEST_F(EngineTest, TextThatIsNoIdIsRefusedWithAnExample) {
  v1::CommitRequest request;
  request.set_txn_id("no-such-id");
  const auto commit = Call(&Engine::Commit, request);
  EXPECT_EQ(commit.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(commit.status().message(), HasSubstr("\"no-such-id\" is no transaction id"));
  EXPECT_EQ(Call(&Engine::GetTransaction, v1::GetTransactionRequest()).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(EngineTest, WhoWaitsWhenTheEngineStopsHearsThatTheOutcomeIsUnknown) {
  engine_.reset();
  hold_votes_ = true;
  log_.reset();
  Start();
  auto waiting = Send(&Engine::Submit, CoordinatorUnderTest::SubmitBoth(""));
  ASSERT_TRUE(Call(&Engine::ListTransactions, v1::ListTransactionsRequest()).ok());  // it is under way
  engine_.reset();
  EXPECT_EQ(waiting.get().status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(EngineTest, ForeignWorkRefusesTheStart) {
  engine_.reset();
  stores_[1][0].foreign = {"assent-orders-0000000000000001-0"};
  log_.reset();
  Start();
  EXPECT_EQ(identity_.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(identity_.message(), HasSubstr("assent-orders-0000000000000001-0 at \"events\""));
}

}  // namespace
}  // namespace assent
