#include "coordinator/log/log_folder.h"

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "tests/coordinator/log/log_testing.h"

// Folders that are not the log that was asked for: refused with a message that helps, and untouched.
namespace assent {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

class LogFolderTest : public testing::Test {
 protected:
  void MakeLog() {
    const auto log = OpenOrDie(MakeOptions(data_));
    DecideAndWait(*log, MakeCommit(MakeTxn(*log, log->NextSequence()), "order-1"));
  }

  // Opening is refused with `code` and a message as expected, and changes nothing.
  void ExpectRefusal(absl::StatusCode code, const testing::Matcher<std::string>& message,
                     const std::string& coordinator = "orders") {
    const auto before = Contents(folder_.path());
    DecisionLogOptions options = MakeOptions(data_);
    options.coordinator = coordinator;
    const auto log = OpenDecisionLog(options);
    ASSERT_FALSE(log.ok());
    EXPECT_EQ(log.status().code(), code) << log.status();
    EXPECT_THAT(std::string(log.status().message()), message);
    EXPECT_EQ(Contents(folder_.path()), before);
  }

  // Replaces the identity's lines, with a checksum that fits.
  void WriteIdentity(const std::string& lines) {
    char checksum[32];
    std::snprintf(checksum, sizeof checksum, "checksum: %08x\n", Crc32c(lines));
    WriteFile(data_ + "/identity", lines + checksum);
  }

  ScratchFolder folder_;
  const std::string data_ = folder_ / "data";
};

TEST_F(LogFolderTest, AnEmptyFolderBecomesALog) {
  fs::create_directory(data_);
  MakeLog();
  EXPECT_THAT(ReadFile(data_ + "/identity"),
              testing::MatchesRegex("assent decision log\nformat: 1\ncoordinator: orders\n"
                                    "incarnation: [0-9a-f]{16}\nstate: ready\nchecksum: [0-9a-f]{8}\n"));
  EXPECT_EQ(ReadFile(data_ + "/LOCK"), std::to_string(::getpid()) + "\n");
}

TEST_F(LogFolderTest, AMissingFolderIsMadeWithItsParents) {
  const auto log = OpenDecisionLog(MakeOptions(data_ + "/a/b"));
  EXPECT_TRUE(log.ok()) << log.status();
}

TEST_F(LogFolderTest, ANameThatIsNoCoordinatorsMakesNothing) {
  ExpectRefusal(absl::StatusCode::kInvalidArgument, HasSubstr("coordinator = \"Orders!\""), "Orders!");
  EXPECT_FALSE(fs::exists(data_));
}

TEST_F(LogFolderTest, AFolderInUseIsRefusedWithItsHolder) {
  const auto log = OpenOrDie(MakeOptions(data_));
  const auto second = OpenDecisionLog(MakeOptions(data_));
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(second.status().message()),
              AllOf(HasSubstr(data_), HasSubstr("process " + std::to_string(::getpid()))));
}

TEST_F(LogFolderTest, TheFolderIsFreeWhenItsHolderHasDied) {
  int pipe_ends[2];
  ASSERT_EQ(::pipe(pipe_ends), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const auto folder = LogFolder::Open(data_, "orders");
    const char opened = folder.ok() && (*folder)->WriteHolder().ok() ? 1 : 0;
    if (::write(pipe_ends[1], &opened, 1) != 1) ::_exit(1);
    for (;;) ::pause();
  }
  char opened = 0;
  ASSERT_EQ(::read(pipe_ends[0], &opened, 1), 1);
  ASSERT_EQ(opened, 1);
  ExpectRefusal(absl::StatusCode::kFailedPrecondition, HasSubstr("process " + std::to_string(child)));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  MakeLog();
}

TEST_F(LogFolderTest, ALogOfAnotherCoordinatorIsRefused) {
  MakeLog();
  ExpectRefusal(absl::StatusCode::kFailedPrecondition, AllOf(HasSubstr("identity"), HasSubstr("\"orders\"")),
                "payments");
}

TEST_F(LogFolderTest, AFolderOfSomethingElseIsRefused) {
  fs::create_directory(data_);
  WriteFile(data_ + "/PG_VERSION", "15\n");
  ExpectRefusal(absl::StatusCode::kFailedPrecondition, AllOf(HasSubstr(data_), HasSubstr("PG_VERSION")));
}

TEST_F(LogFolderTest, AFileInsteadOfAFolderIsRefused) {
  WriteFile(data_, "hello");
  ExpectRefusal(absl::StatusCode::kFailedPrecondition, HasSubstr("is a file"));
}

TEST_F(LogFolderTest, ANewerFormatIsRefused) {
  MakeLog();
  // A later format may have lines that this one does not know, but a checksum at its end.
  WriteIdentity("assent decision log\nformat: 2\ncoordinator: orders\nregion: north\n");
  ExpectRefusal(absl::StatusCode::kFailedPrecondition, AllOf(HasSubstr("identity"), HasSubstr("newer")));
}

TEST_F(LogFolderTest, ADamagedIdentityIsRefused) {
  MakeLog();
  const std::string text = ReadFile(data_ + "/identity");
  for (std::size_t at = 0; at < text.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = text;
      damaged[at] = static_cast<char>(damaged[at] ^ 1 << bit);
      EXPECT_EQ(ParseLogIdentity("identity", damaged).status().code(), absl::StatusCode::kDataLoss)
          << "bit " << bit << " of byte " << at;
    }
    EXPECT_EQ(ParseLogIdentity("identity", text.substr(0, at)).status().code(), absl::StatusCode::kDataLoss);
  }
  WriteFile(data_ + "/identity", text.substr(0, 40));
  ExpectRefusal(absl::StatusCode::kDataLoss, HasSubstr(data_ + "/identity is damaged"));
}

TEST_F(LogFolderTest, AMissingIdentityIsRefused) {
  MakeLog();
  fs::remove(data_ + "/identity");
  ExpectRefusal(absl::StatusCode::kDataLoss, HasSubstr("identity is missing"));
}

TEST_F(LogFolderTest, AMissingDatabaseIsRefusedAndNoLockIsLeft) {
  MakeLog();
  fs::remove_all(data_ + "/log");
  fs::remove(data_ + "/LOCK");
  ExpectRefusal(absl::StatusCode::kDataLoss, HasSubstr("log/CURRENT is missing"));
}

TEST_F(LogFolderTest, AnotherLogsDatabaseIsRefused) {
  MakeLog();
  { const auto other = OpenOrDie(MakeOptions(folder_ / "other")); }
  fs::remove_all(data_ + "/log");
  fs::copy(folder_ / "other/log", data_ + "/log", fs::copy_options::recursive);
  fs::remove(data_ + "/synced");
  fs::copy(folder_ / "other/synced", data_ + "/synced");
  ExpectRefusal(absl::StatusCode::kDataLoss, AllOf(HasSubstr("incarnation"), HasSubstr(data_ + "/log")));
}

TEST_F(LogFolderTest, AnOlderCopyOfTheDatabaseIsRefused) {
  MakeLog();
  fs::copy(data_ + "/log", folder_ / "backup", fs::copy_options::recursive);
  {
    const auto log = OpenOrDie(MakeOptions(data_));
    DecideAndWait(*log, MakeCommit(MakeTxn(*log, log->NextSequence())));
  }
  fs::remove_all(data_ + "/log");
  fs::copy(folder_ / "backup", data_ + "/log", fs::copy_options::recursive);
  ExpectRefusal(absl::StatusCode::kDataLoss, HasSubstr("was durable"));
}

TEST_F(LogFolderTest, AnInterruptedCreationIsMadeAnew) {
  MakeLog();
  const std::string text = ReadFile(data_ + "/identity");
  WriteIdentity(
      "assent decision log\nformat: 1\ncoordinator: orders\nincarnation: 0123456789abcdef\nstate: creating\n");
  {
    const auto log = OpenOrDie(MakeOptions(data_));
    EXPECT_EQ(log->start().epoch, 1u);
    EXPECT_EQ(log->start().coordinator.incarnation, 0x0123456789abcdefu);
    EXPECT_FALSE(log->RequestMayExist("order-1"));
  }
  EXPECT_EQ(OpenOrDie(MakeOptions(data_))->start().epoch, 2u);
}

TEST_F(LogFolderTest, ACreationThatStoppedAtAnyPointIsMadeAnew) {
  {
    const auto folder = LogFolder::Open(data_, "orders");
    ASSERT_TRUE(folder.ok());
    ASSERT_TRUE((*folder)->WriteHolder().ok());
  }
  OpenOrDie(MakeOptions(data_));
  fs::remove_all(data_);
  {
    const auto folder = LogFolder::Open(data_, "orders");
    ASSERT_TRUE((*folder)->WriteHolder().ok() && (*folder)->BeginCreation().ok());
  }
  OpenOrDie(MakeOptions(data_));
}

}  // namespace
}  // namespace assent
