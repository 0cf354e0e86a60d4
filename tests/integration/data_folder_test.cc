// A data folder that assentd must not touch: it says which and why, ends with its own exit code, and changes nothing.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <libpq-fe.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <thread>

#include "tests/integration/assentd_process.h"
#include "tests/integration/await.h"
#include "tests/integration/caller.h"
#include "tests/integration/topic.h"

namespace assent::integration {
namespace {

using testing::HasSubstr;

constexpr int kLogRefuses = 3;  // docs/configuration.md, "exit codes"
constexpr int kForeignWork = 4;

// Every file of a folder with its bytes.
std::map<std::string, std::string> Contents(const std::filesystem::path& folder) {
  std::map<std::string, std::string> contents;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    std::ifstream file(entry.path(), std::ios::binary);
    contents[entry.path().string()] = {std::istreambuf_iterator<char>(file), {}};
  }
  return contents;
}

class DataFolderTest : public testing::Test {
 protected:
  std::string Participants() const { return PostgresParticipant("orders-db", database_.conninfo()); }

  ScratchDatabase database_;
};

TEST_F(DataFolderTest, OneThatAnotherAssentdUsesIsRefused) {
  Assentd first(Participants());
  ASSERT_TRUE(first.Start());
  Assentd second(Participants(), "", first.data_dir());
  const Refusal refused = second.StartRefused();
  EXPECT_EQ(refused.exit_code, kLogRefuses);
  EXPECT_THAT(refused.log, HasSubstr(first.data_dir().string()));
  EXPECT_TRUE(Caller(first.NewChannel()).Begin().ok()) << "the first goes on";
}

TEST_F(DataFolderTest, OneThatACrashedAssentdUsedIsTakenOver) {
  Assentd assentd(Participants());
  ASSERT_TRUE(assentd.Start());
  assentd.Kill();
  EXPECT_TRUE(assentd.Start());
}

TEST_F(DataFolderTest, OneOfAnotherCoordinatorIsRefused) {
  Assentd first(Participants());
  ASSERT_TRUE(first.Start());
  EXPECT_EQ(first.Stop(), 0);
  Assentd second(Participants(), "", first.data_dir());
  const Refusal refused = second.StartRefused();
  EXPECT_EQ(refused.exit_code, kLogRefuses);
  EXPECT_THAT(refused.log, HasSubstr(first.data_dir().string()));
}

TEST_F(DataFolderTest, OneWithOtherFilesInItIsRefusedAndLeftAlone) {
  Assentd assentd(Participants());
  std::filesystem::create_directories(assentd.data_dir());
  std::ofstream(assentd.data_dir() / "accounts.txt") << "somebody else's";
  const auto before = Contents(assentd.data_dir());
  const Refusal refused = assentd.StartRefused();
  EXPECT_EQ(refused.exit_code, kLogRefuses);
  EXPECT_THAT(refused.log, HasSubstr("accounts.txt"));
  EXPECT_EQ(Contents(assentd.data_dir()), before);
}

// Each file of the log, one after the other, gets a byte changed in the middle of what was written to it.
TEST_F(DataFolderTest, OneThatIsDamagedIsRefusedAndLeftAlone) {
  Assentd assentd(Participants());
  ASSERT_TRUE(assentd.Start());
  Caller caller(assentd.NewChannel());
  database_.Run("CREATE TABLE orders (id bigint)");
  std::vector<std::string> committed;
  for (int i = 0; i < 20; ++i) {
    v1::SubmitRequest request;
    AddBranch(request, "orders-db", SqlWork("INSERT INTO orders VALUES (1)"));
    const auto submitted = caller.Submit(request);
    ASSERT_TRUE(submitted.ok()) << submitted.message();
    committed.push_back(submitted.response.txn_id());
  }
  assentd.Kill();
  const auto whole = Contents(assentd.data_dir());
  int refusals = 0;
  for (const auto& [path, bytes] : whole) {
    const bool is_wal = path.ends_with(".log");
    if (!is_wal && path.find("MANIFEST") == std::string::npos && !path.ends_with("CURRENT")) continue;
    const std::size_t written = bytes.find_last_not_of('\0') + 1;  // space set aside for more follows it
    if (written < 8) continue;
    std::string damaged = bytes;
    damaged[written / 2] ^= 0x10;
    std::ofstream(path, std::ios::binary | std::ios::trunc) << damaged;
    const auto before = Contents(assentd.data_dir());
    const Refusal refused = assentd.StartRefused();
    EXPECT_EQ(refused.exit_code, kLogRefuses) << path;
    EXPECT_THAT(refused.log, HasSubstr(assentd.data_dir().string())) << path;
    EXPECT_TRUE(Contents(assentd.data_dir()) == before) << path << ": a file was changed, added or removed";
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
    ++refusals;
  }
  EXPECT_GE(refusals, 3) << "a write-ahead log, a MANIFEST and CURRENT";
  ASSERT_TRUE(assentd.Start()) << "whole again";
  Caller again(assentd.NewChannel());
  for (const std::string& id : committed) {
    const auto described = again.Get(id);
    EXPECT_EQ(described.response.outcome(), v1::COMMITTED) << described.message();
  }
}

// ---- One participant under two names
// ----------------------------------------------------------------------------------

TEST_F(DataFolderTest, OneDatabaseUnderTwoNamesIsRefused) {
  Assentd assentd(Participants() + PostgresParticipant("copy-db", database_.conninfo()));
  const Refusal refused = assentd.StartRefused();
  EXPECT_EQ(refused.exit_code, kForeignWork);
  EXPECT_THAT(refused.log, HasSubstr("\"copy-db\" and \"orders-db\" are both database"));
}

TEST_F(DataFolderTest, OneKafkaClusterUnderTwoNamesIsRefused) {
  std::string by_another_name = KafkaParticipant("audit");
  const std::size_t host = by_another_name.find("127.0.0.1");
  ASSERT_NE(host, std::string::npos) << by_another_name;
  by_another_name.replace(host, 9, "localhost");
  Assentd assentd(KafkaParticipant("events") + by_another_name);
  const Refusal refused = assentd.StartRefused();
  EXPECT_EQ(refused.exit_code, kForeignWork);
  EXPECT_THAT(refused.log, HasSubstr("\"audit\" and \"events\" are both Kafka cluster"));
}

// ---- Another log under the same name --------------------------------------------------------------------------------

class ForeignWorkTest : public DataFolderTest {
 protected:
  std::string Participants() const {
    return DataFolderTest::Participants() + PostgresParticipant("stock-db", stock_.conninfo()) +
           KafkaParticipant("events");
  }

  v1::SubmitRequest AnOrder() const {
    v1::SubmitRequest request;
    AddBranch(request, "orders-db", SqlWork("INSERT INTO orders VALUES (1)"));
    AddBranch(request, "stock-db", SqlWork("UPDATE stock SET left_over = left_over - 1"));
    AddBranch(request, "events", RecordWork(topic_.name(), "k", "v"));
    request.mutable_branches(2)->mutable_options()->mutable_kafka()->set_order(v1::UNORDERED);
    return request;
  }

  void SetUp() override {
    database_.Run("CREATE TABLE orders (id bigint)");
    stock_.Run("CREATE TABLE stock (left_over bigint); INSERT INTO stock VALUES (1000)");
  }

  ScratchDatabase stock_;
  ScratchTopic topic_;
};

// A start on an old copy of the folder must leave what the right one has prepared, at every participant, to it.
TEST_F(ForeignWorkTest, AnOldCopyOfTheFolderIsRefusedAndNoParticipantIsTouched) {
  Assentd right(Participants());
  ASSERT_TRUE(right.Start());
  ASSERT_TRUE(Caller(right.NewChannel()).Submit(AnOrder()).ok());
  ASSERT_EQ(right.Stop(), 0);
  const std::filesystem::path copy = right.data_dir().string() + "-copy";
  std::filesystem::copy(right.data_dir(), copy, std::filesystem::copy_options::recursive);

  // Dies with one branch prepared, one open in Kafka, and one that waits for a lock.
  ASSERT_TRUE(right.Start());
  PGconn* const locking = PQconnectdb(stock_.conninfo().c_str());
  PQclear(PQexec(locking, "BEGIN; LOCK TABLE stock"));
  std::thread waiting([&] { (void)Caller(right.NewChannel()).Submit(AnOrder()); });
  EXPECT_TRUE(Await([&] { return database_.Prepared().size() == 1 && !topic_.IsStable(); }));
  right.Kill();
  waiting.join();
  PQfinish(locking);

  Assentd stale(Participants(), "", copy, right.coordinator());
  for (int tries = 1; tries <= 3; ++tries) {  // as a service manager would
    const Refusal refused = stale.StartRefused();
    EXPECT_EQ(refused.exit_code, kForeignWork) << "try " << tries << ": " << refused.log;
  }
  EXPECT_EQ(database_.Prepared().size(), 1u);
  EXPECT_FALSE(topic_.IsStable()) << "an id was fenced, and with it the transaction that the right folder may need";

  ASSERT_TRUE(right.Start());
  EXPECT_TRUE(Await([&] { return database_.Prepared().empty() && topic_.IsStable(); }));
  EXPECT_TRUE(Caller(right.NewChannel()).Submit(AnOrder()).ok());
  EXPECT_EQ(topic_.ReadCommitted().size(), 2u);
  std::filesystem::remove_all(copy);
}

TEST_F(ForeignWorkTest, ASecondOneOfTheSameNameIsRefusedAndTheFirstGoesOn) {
  Assentd first(Participants());
  ASSERT_TRUE(first.Start());
  Caller caller(first.NewChannel());
  ASSERT_TRUE(caller.Submit(AnOrder()).ok());
  Assentd second(Participants(), "", {}, first.coordinator());
  const Refusal refused = second.StartRefused();
  EXPECT_EQ(refused.exit_code, kForeignWork) << refused.log;
  EXPECT_THAT(refused.log, HasSubstr("--adopt"));
  ASSERT_EQ(first.Stop(), 0);
  ASSERT_TRUE(first.Start()) << "the second has left nothing behind";
  const auto goes_on = Caller(first.NewChannel()).Submit(AnOrder());
  EXPECT_TRUE(goes_on.ok()) << goes_on.message();
}

}  // namespace
}  // namespace assent::integration
