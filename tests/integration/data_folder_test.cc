// A data folder that assentd must not touch: it says which and why, ends with its own exit code, and changes nothing.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "tests/integration/assentd_process.h"
#include "tests/integration/caller.h"

namespace assent::integration {
namespace {

using testing::HasSubstr;

constexpr int kLogRefuses = 3;  // docs/configuration.md, "exit codes"

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

}  // namespace
}  // namespace assent::integration
