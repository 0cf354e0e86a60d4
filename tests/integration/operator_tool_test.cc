// The real `assent` against the real assentd, with transactions that cannot end.

#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>
#include <libpq-fe.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "assent/v1/tool.pb.h"
#include "tests/integration/assentd_process.h"
#include "tests/integration/await.h"
#include "tests/integration/caller.h"
#include "tests/integration/meddling_proxy.h"
#include "tests/integration/tool.h"
#include "tests/integration/topic.h"

namespace assent::integration {
namespace {

using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

constexpr int kFound = 1;  // docs/operations.md, "Exit codes"
constexpr int kUsage = 2;
constexpr int kUnreachable = 3;
constexpr int kNotFound = 4;
constexpr int kRefused = 5;
constexpr int kFailed = 6;

int PostgresPort() {
  const std::string conninfo = PostgresServer();
  const std::size_t at = conninfo.find("port=");
  EXPECT_NE(at, std::string::npos) << conninfo;
  return std::stoi(conninfo.substr(at + 5));
}

// What the tool printed with --json, as the API's message.
template <typename Message>
Message FromJson(const Ran& ran) {
  Message message;
  EXPECT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(ran.out, &message).ok()) << ran.out;
  return message;
}

// Its stock-db is reached through a proxy, which cuts it off where a test says.
class OperatorToolTest : public testing::Test {
 protected:
  void SetUp() override {
    orders_.Run("CREATE TABLE orders (id bigint PRIMARY KEY)");
    stock_.Run("CREATE TABLE taken (id bigint PRIMARY KEY)");
    assentd_ = std::make_unique<Assentd>(PostgresParticipant("orders-db", orders_.conninfo()) +
                                         PostgresParticipant("stock-db",
                                                             absl::StrCat(stock_.conninfo(), " port=", proxy_.port()),
                                                             "finish_timeout = \"3s\"") +
                                         KafkaParticipant("events"));
    ASSERT_TRUE(assentd_->Start());
  }

  Ran Assent(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"--address", assentd_->address()});
    return RunAssent(arguments);
  }
  template <typename Message>
  Message AssentJson(std::vector<std::string> arguments) const {
    arguments.emplace_back("--json");
    return FromJson<Message>(Assent(std::move(arguments)));
  }

  v1::SubmitRequest AnOrder(int id) const {
    v1::SubmitRequest request;
    AddBranch(request, "orders-db", SqlWork("INSERT INTO orders VALUES ($1)", {Int(id)}));
    AddBranch(request, "stock-db", SqlWork("INSERT INTO taken VALUES ($1)", {Int(id)}));
    AddBranch(request, "events", RecordWork(topic_.name(), std::to_string(id), "placed"));
    request.set_wait(v1::DECIDED);
    return request;
  }

  // A transaction that is decided, and that stock-db, which is cut off, has not heard of.
  std::string CommitWithoutStock(int id) {
    proxy_.CutAt("COMMIT PREPARED");
    const auto submitted = Caller(assentd_->NewChannel()).Submit(AnOrder(id));
    EXPECT_TRUE(submitted.ok()) << submitted.message();
    EXPECT_TRUE(Await([&] { return proxy_.has_cut(); }));
    EXPECT_TRUE(Await([&] { return orders_.Prepared().empty() && topic_.IsStable(); }));
    EXPECT_EQ(stock_.Prepared().size(), 1u);
    return submitted.response.txn_id();
  }

  v1::ParticipantDescription Participant(const std::string& name) const {
    const auto listed = AssentJson<v1::ListParticipantsResponse>({"participants"});
    for (const v1::ParticipantDescription& participant : listed.participants()) {
      if (participant.name() == name) return participant;
    }
    ADD_FAILURE() << "no participant " << name;
    return {};
  }

  ScratchDatabase orders_;
  ScratchDatabase stock_;
  ScratchTopic topic_;
  MeddlingProxy proxy_{PostgresPort()};
  std::unique_ptr<Assentd> assentd_;
};

TEST_F(OperatorToolTest, ABranchThatCannotBeCommittedIsSeenUntilItIs) {
  const std::string id = CommitWithoutStock(1);

  const auto listed = AssentJson<v1::ListTransactionsResponse>({"transactions"});
  ASSERT_EQ(listed.transactions_size(), 1);
  EXPECT_EQ(listed.transactions(0).txn_id(), id);
  EXPECT_THAT(Assent({"transactions", "--state", "committing", "--participant", "stock-db"}).out,
              AllOf(HasSubstr("TRANSACTION"), HasSubstr(id), HasSubstr("committing"), HasSubstr("stock-db")));
  EXPECT_THAT(Assent({"transactions", "--state", "active", "--state", "preparing"}).out, Not(HasSubstr(id)));
  EXPECT_THAT(Assent({"transactions", "--older-than", "1h"}).out, Not(HasSubstr(id)));

  const Ran shown = Assent({"show", id});
  EXPECT_EQ(shown.exit_code, 0) << shown.err;
  EXPECT_THAT(shown.out, ContainsRegex("decision +committed, at 20"));
  EXPECT_THAT(shown.out, HasSubstr(absl::StrCat("gid 'assent-", id, "-stock-db', transaction ")));
  EXPECT_THAT(shown.out, HasSubstr(absl::StrCat("transactional id assent-", assentd_->coordinator())));
  EXPECT_THAT(shown.out, ContainsRegex("next +commit (is tried again in|is under way)"));

  const v1::ParticipantDescription stock = Participant("stock-db");
  EXPECT_EQ(stock.in_doubt(), 1);
  EXPECT_TRUE(stock.has_oldest_in_doubt());
  EXPECT_FALSE(stock.available()) << stock.health();
  const v1::ParticipantDescription orders = Participant("orders-db");
  EXPECT_EQ(orders.in_doubt(), 0);
  EXPECT_GT(orders.prepared_limit(), 0);
  EXPECT_GE(orders.prepared(), 1) << "that of stock-db, on the same server";
  EXPECT_THAT(Assent({"participants"}).out, AllOf(HasSubstr("DOWN"), HasSubstr("IN DOUBT"), HasSubstr("events")));

  proxy_.Heal();
  EXPECT_TRUE(Await([&] { return stock_.Prepared().empty(); }));
  EXPECT_TRUE(Await([&] { return AssentJson<v1::ListTransactionsResponse>({"transactions"}).transactions().empty(); }));
  EXPECT_THAT(Assent({"show", id}).out, HasSubstr("nothing: it has ended"));
  EXPECT_EQ(Participant("stock-db").in_doubt(), 0);
}

TEST_F(OperatorToolTest, WhatIsDecidedIsHurriedByHand) {
  const std::string id = CommitWithoutStock(1);
  const Ran away = Assent({"resolve", id, "--branch", "stock-db", "--commit"});
  EXPECT_EQ(away.exit_code, kFailed);
  EXPECT_THAT(away.err, HasSubstr("has not ended"));
  proxy_.Heal();
  EXPECT_TRUE(Await([&] {
    EXPECT_EQ(Assent({"recover"}).exit_code, 0);
    return stock_.Prepared().empty();
  }));
  EXPECT_EQ(stock_.Value("SELECT count(*) FROM taken"), "1");
  EXPECT_THAT(Assent({"heuristics"}).err, HasSubstr("every branch has followed its decision"));
  EXPECT_THAT(Assent({"audit"}).err, HasSubstr("nothing was ever forced"));
}

TEST_F(OperatorToolTest, AgainstADecisionItTakesForceAndTheTrailTellsIt) {
  proxy_.HoldAt("COMMIT PREPARED");
  const auto submitted = Caller(assentd_->NewChannel()).Submit(AnOrder(1));
  ASSERT_TRUE(submitted.ok()) << submitted.message();
  const std::string id = submitted.response.txn_id();
  EXPECT_TRUE(Await([&] { return proxy_.has_held(); }));

  std::vector<std::string> command = {"resolve", id, "--branch", "stock-db", "--abort"};
  const Ran refused = Assent(command);
  EXPECT_EQ(refused.exit_code, kRefused);
  EXPECT_THAT(refused.err, HasSubstr("is decided committed, durably"));
  command.emplace_back("--force");
  const Ran without_reason = Assent(command);
  EXPECT_EQ(without_reason.exit_code, kUsage);
  EXPECT_THAT(without_reason.err, HasSubstr("--force needs --reason"));
  EXPECT_EQ(stock_.Prepared().size(), 1u);
  command.insert(command.end(), {"--reason", "the stock server is lost", "--requested-by", "alice"});
  const Ran forced = Assent(command);
  EXPECT_EQ(forced.exit_code, 0) << forced.err;
  EXPECT_THAT(forced.out, HasSubstr("forced"));
  EXPECT_TRUE(stock_.Prepared().empty());
  EXPECT_EQ(stock_.Value("SELECT count(*) FROM taken"), "0") << "the transaction is torn, as was asked for";
  EXPECT_EQ(orders_.Value("SELECT count(*) FROM orders"), "1");

  for (const bool restarted : {false, true}) {
    if (restarted) {
      assentd_->Kill();
      ASSERT_TRUE(assentd_->Start());
    }
    const auto trail = AssentJson<v1::ListAuditResponse>({"audit"});
    ASSERT_EQ(trail.entries_size(), 2);
    EXPECT_FALSE(trail.entries(0).done());
    EXPECT_EQ(trail.entries(0).what(), "the stock server is lost");
    EXPECT_EQ(trail.entries(0).forced_by(), "alice");
    EXPECT_EQ(trail.entries(0).decided(), v1::COMMITTED);
    EXPECT_EQ(trail.entries(1).forced(), v1::ABORTED);
    EXPECT_TRUE(trail.entries(1).done());
    const Ran heuristics = Assent({"heuristics"});
    EXPECT_EQ(heuristics.exit_code, kFound);
    EXPECT_THAT(heuristics.out, AllOf(HasSubstr(id), HasSubstr("forced by alice")));
    EXPECT_THAT(Assent({"show", id}).out, AllOf(HasSubstr("heuristic"), HasSubstr("forced to rollback by alice")));
  }
}

// ---- Offline --------------------------------------------------------------------------------------------------------

class OfflineRecoveryTest : public OperatorToolTest {
 protected:
  Ran Recover(std::vector<std::string> more = {}, std::chrono::milliseconds kill_after = {}) const {
    std::vector<std::string> arguments = {"recover",    "--offline", "--config", assentd_->config_file(),
                                          "--patience", "3s"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return RunAssent(arguments, kill_after);
  }

  // Dies with a decided branch that stock-db has not heard of, and with an undecided transaction that is prepared in
  // orders-db and open in Kafka. Their ids.
  std::pair<std::string, std::string> DieInDoubt() {
    proxy_.HoldAt("COMMIT PREPARED");
    const auto decided = Caller(assentd_->NewChannel()).Submit(AnOrder(1));
    EXPECT_TRUE(decided.ok()) << decided.message();
    EXPECT_TRUE(Await([&] { return proxy_.has_held() && orders_.Prepared().empty() && topic_.IsStable(); }));
    PGconn* const locking = PQconnectdb(stock_.conninfo().c_str());
    PQclear(PQexec(locking, "BEGIN; INSERT INTO taken VALUES (2)"));
    v1::SubmitRequest order = AnOrder(2);
    order.mutable_branches(2)->mutable_options()->mutable_kafka()->set_order(v1::UNORDERED);
    std::thread waiting([&] { (void)Caller(assentd_->NewChannel()).Submit(order); });
    EXPECT_TRUE(Await([&] { return orders_.Prepared().size() == 1 && !topic_.IsStable(); }));
    EXPECT_TRUE(Await([&] { return Participant("events").hidden() == 1; })) << "the record of the second order";
    EXPECT_EQ(Participant("events").hidden_in(), topic_.name() + "[0]");
    EXPECT_EQ(Recover().exit_code, kRefused) << "it runs";
    std::string undecided;
    const auto listed = AssentJson<v1::ListTransactionsResponse>({"transactions", "--state", "preparing"});
    EXPECT_EQ(listed.transactions_size(), 1);
    for (const auto& transaction : listed.transactions()) undecided = transaction.txn_id();
    assentd_->Kill();
    waiting.join();
    // A backend goes on without its client, and would prepare the second order as soon as it gets the lock.
    stock_.Run(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()");
    PQfinish(locking);
    proxy_.Heal();
    EXPECT_EQ(stock_.Prepared().size(), 1u);
    return {decided.response.txn_id(), undecided};
  }

  void ExpectOnlyTheDecidedOrder() const {
    EXPECT_TRUE(orders_.Prepared().empty());
    EXPECT_TRUE(stock_.Prepared().empty());
    EXPECT_TRUE(topic_.IsStable());
    EXPECT_THAT(orders_.Column("SELECT id FROM orders"), testing::ElementsAre("1"));
    EXPECT_THAT(stock_.Column("SELECT id FROM taken"), testing::ElementsAre("1"));
    ASSERT_EQ(topic_.ReadCommitted().size(), 1u);
    EXPECT_EQ(topic_.ReadCommitted()[0].key, "1");
  }
};

TEST_F(OfflineRecoveryTest, ItSaysWhatItWouldDoAndWhyAndDoesItWhenItIsTold) {
  const auto [decided, undecided] = DieInDoubt();
  const Ran planned = Recover();
  EXPECT_EQ(planned.exit_code, kFound) << planned.err;
  EXPECT_THAT(planned.out,
              ContainsRegex(absl::StrCat("stock-db +commit +", decided, " +stock-db +the log holds its decision")));
  EXPECT_THAT(planned.out,
              ContainsRegex(absl::StrCat("orders-db +rollback +", undecided, " +orders-db +the log has no decision")));
  EXPECT_THAT(planned.out, ContainsRegex("events +rollback .*no decision in the log needs it"));
  EXPECT_THAT(planned.err, HasSubstr("nothing was done"));
  EXPECT_EQ(stock_.Prepared().size(), 1u);
  EXPECT_EQ(orders_.Prepared().size(), 1u);
  EXPECT_FALSE(topic_.IsStable());

  v1::RecoveryPlan plan;
  EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(Recover({"--json"}).out, &plan).ok());
  // Three branches of the decided transaction, of which the log does not know that two have ended, and two of the
  // other.
  EXPECT_EQ(plan.steps_size(), 5) << plan.DebugString();

  const Ran applied = Recover({"--apply"});
  EXPECT_EQ(applied.exit_code, 0) << applied.err;
  EXPECT_THAT(applied.err, HasSubstr("nothing is left in doubt"));
  ExpectOnlyTheDecidedOrder();

  const Ran again = Recover({"--apply"});
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_THAT(again.out, HasSubstr("nothing is in doubt"));
  ASSERT_TRUE(assentd_->Start());
  EXPECT_EQ(Caller(assentd_->NewChannel()).Get(decided).response.state(), v1::STATE_COMMITTED);
  EXPECT_EQ(Assent({"heuristics"}).exit_code, 0);
}

TEST_F(OfflineRecoveryTest, ItIsRepeatedUntilItIsDoneHoweverItEnded) {
  DieInDoubt();
  proxy_.CutAt("COMMIT PREPARED");
  const Ran partly = Recover({"--apply"});
  EXPECT_EQ(partly.exit_code, kFound) << partly.err;
  EXPECT_THAT(partly.err, HasSubstr("1 have not ended"));
  proxy_.Heal();
  for (const int milliseconds : {40, 120, 200, 300}) Recover({"--apply"}, std::chrono::milliseconds(milliseconds));
  EXPECT_EQ(Recover({"--apply"}).exit_code, 0);
  ExpectOnlyTheDecidedOrder();
}

// Nobody knows any more what was decided. What is open in Kafka stands under a transactional id of the old log.
TEST_F(OfflineRecoveryTest, AfterALostFolderWhatIsOpenInKafkaIsNamedUntilKafkasOwnToolEndsIt) {
  DieInDoubt();
  std::filesystem::remove_all(assentd_->data_dir());
  ASSERT_TRUE(assentd_->Start("--adopt"));
  ASSERT_TRUE(Await(
      [&] { return Participant("events").left_alone_size() == 1 && Participant("orders-db").left_alone_size() == 1; }));
  const std::string id = Participant("events").left_alone(0);
  EXPECT_THAT(id, HasSubstr(assentd_->coordinator()));
  const std::string shown = Assent({"participants"}).out;
  EXPECT_THAT(shown, ContainsRegex(absl::StrCat("! events: ", id, " is left alone: .*kafka-transactions.sh ends it")));
  EXPECT_THAT(shown, ContainsRegex("! orders-db: assent-.* is left alone: .*assent resolve --force"));

  v1::SubmitRequest order = AnOrder(3);
  order.set_wait(v1::COMPLETED);
  EXPECT_TRUE(Caller(assentd_->NewChannel()).Submit(order).ok());
  EXPECT_EQ(topic_.ReadCommitted().size(), 1u) << "it is hidden by what is open";
  EXPECT_EQ(assentd_->Stop(), 0);
  const Ran planned = Recover({"--adopt"});
  EXPECT_EQ(planned.exit_code, kFound) << planned.err;
  EXPECT_THAT(planned.out, ContainsRegex(absl::StrCat("events +none .*kafka-transactions.sh .*", id)));
  EXPECT_FALSE(topic_.IsStable());

  EndTransactionsOf(id);
  EXPECT_TRUE(Await([&] { return topic_.IsStable(); }));
  EXPECT_EQ(topic_.ReadCommitted().size(), 2u) << "the decided order of the old log, and that of the new one";
  ASSERT_TRUE(assentd_->Start("--adopt"));
  EXPECT_TRUE(Await([&] { return Participant("events").in_doubt() == 0; }));
  EXPECT_EQ(Participant("events").left_alone_size(), 0);
}

TEST_F(OfflineRecoveryTest, AConfigurationOrAFolderThatIsNotThereIsNamed) {
  const Ran config = RunAssent({"recover", "--offline", "--config", "/no/such/file.toml"});
  EXPECT_EQ(config.exit_code, kUsage);
  EXPECT_THAT(config.err, HasSubstr("/no/such/file.toml"));
  const Ran folder = Recover({"--data-dir", "/no/such/folder"});
  EXPECT_EQ(folder.exit_code, kRefused);
  EXPECT_THAT(folder.err, HasSubstr("no decision log in /no/such/folder"));
  EXPECT_EQ(RunAssent({"recover", "--apply"}).exit_code, kUsage) << "--apply is for --offline";
}

// ---- Doctor ---------------------------------------------------------------------------------------------------------

class DoctorTest : public OperatorToolTest {
 protected:
  Ran Doctor(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments = {
        "doctor", "--config", assentd_->config_file(), "--address", assentd_->address(), "--patience", "2s"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return RunAssent(arguments);
  }
};

TEST_F(DoctorTest, WhatEndangersAtomicityIsFoundWithItsFix) {
  const Ran ran = Doctor();
  EXPECT_EQ(ran.exit_code, kFound) << "the test's broker is alone";
  EXPECT_THAT(ran.out,
              HasSubstr("WARNING  participant events: broker 1 has transaction.state.log.replication.factor = 1"));
  EXPECT_THAT(ran.out, HasSubstr("fix: set it to 3"));
  EXPECT_THAT(ran.out, Not(HasSubstr("DANGER"))) << ran.out;
  EXPECT_THAT(ran.out, Not(HasSubstr("coordinator:"))) << "it answers";

  v1::Findings findings;
  EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(Doctor({"--json"}).out, &findings).ok());
  EXPECT_GT(findings.findings_size(), 0);
}

TEST_F(DoctorTest, AParticipantThatCannotBeReachedIsADanger) {
  proxy_.CutAt("SELECT");
  const Ran ran = Doctor();
  EXPECT_EQ(ran.exit_code, kFound);
  EXPECT_THAT(ran.out, HasSubstr("DANGER  participant stock-db: it cannot be reached from here"));
}

TEST_F(DoctorTest, ACoordinatorThatIsDownAndWhatItsLogHoldsUnfinishedAreFound) {
  CommitWithoutStock(1);
  assentd_->Kill();
  proxy_.Heal();
  const Ran ran = Doctor();
  EXPECT_EQ(ran.exit_code, kFound);
  EXPECT_THAT(ran.out, HasSubstr("coordinator: no coordinator answers at " + assentd_->address()));
  EXPECT_THAT(ran.out, HasSubstr("decision log: 1 decided transactions have not ended"));
  EXPECT_EQ(stock_.Prepared().size(), 1u) << "it only looks";
}

TEST_F(DoctorTest, EveryMistakeInAConfigurationIsAFinding) {
  const std::string path = assentd_->config_file() + ".bad";
  std::ofstream(path) << "coordinator = \"Orders!\"\nshards = -1\n";
  const Ran ran = RunAssent({"doctor", "--config", path});
  EXPECT_EQ(ran.exit_code, kFound);
  EXPECT_THAT(ran.out, AllOf(HasSubstr("DANGER  configuration:"), HasSubstr("coordinator"), HasSubstr("shards")));
}

TEST_F(OperatorToolTest, WatchLooksAgainAndAgain) {
  const Ran watched = Assent({"watch", "--looks", "2", "--interval", "10ms"});
  EXPECT_EQ(watched.exit_code, 0) << watched.err;
  const std::size_t first = watched.out.find("PARTICIPANT");
  EXPECT_NE(watched.out.find("PARTICIPANT", first + 1), std::string::npos) << watched.out;
  EXPECT_EQ(Assent({"watch", "--looks", "1", "--json"}).out.find("{\"participants\""), 0u);
}

TEST_F(OperatorToolTest, AnOpenTransactionShowsItsLabelsAndItsDeadline) {
  Caller caller(assentd_->NewChannel());
  const std::string id = caller.BeginId(600);
  ASSERT_TRUE(caller.Enlist(id, "orders-db").ok());
  ASSERT_TRUE(caller.Execute(id, "orders-db", 1, SqlWork("SELECT 1")).ok());
  const Ran shown = Assent({"show", id});
  EXPECT_THAT(shown.out, ContainsRegex("state +active"));
  EXPECT_THAT(shown.out, ContainsRegex("decision +undecided"));
  EXPECT_THAT(shown.out, HasSubstr("work, Commit or Abort by its caller; aborted at the deadline, in 9m"));
  EXPECT_EQ(Participant("orders-db").open(), 1);
}

TEST_F(OperatorToolTest, ErrorsSayWhatToDoAndEachHasItsExitCode) {
  const Ran unknown = Assent({"show", "orders-5f0cab12d3e4f567-3-0-1042"});
  EXPECT_EQ(unknown.exit_code, kNotFound);
  EXPECT_THAT(unknown.err, HasSubstr("is not of this coordinator"));
  EXPECT_EQ(Assent({"show", "nonsense"}).exit_code, kNotFound);

  const Ran state = Assent({"transactions", "--state", "commiting"});
  EXPECT_EQ(state.exit_code, kUsage);
  EXPECT_THAT(state.err, AllOf(HasSubstr("commiting"), HasSubstr("preparing"), HasSubstr("aborting")));

  const Ran participant = Assent({"transactions", "--participant", "orders"});
  EXPECT_EQ(participant.exit_code, kNotFound);
  EXPECT_THAT(participant.err, AllOf(HasSubstr("\"orders\""), HasSubstr("orders-db, stock-db, events")));

  const std::string nowhere = absl::StrCat("127.0.0.1:", FreePort());
  const Ran unreachable = RunAssent({"--address", nowhere, "--timeout", "500ms", "participants"});
  EXPECT_EQ(unreachable.exit_code, kUnreachable);
  EXPECT_THAT(unreachable.err, AllOf(HasSubstr(nowhere), HasSubstr("check that assentd runs")));
}

}  // namespace
}  // namespace assent::integration
