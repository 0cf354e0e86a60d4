// The disk of the decision log runs full under load: assentd ends, and says why; while the disk is full a start
// refuses, or ends again; and once there is space, independent readers agree after the restart.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <string>

#include "tests/crash/recovery.h"
#include "tests/integration/assentd_process.h"
#include "tests/integration/await.h"
#include "tests/integration/load.h"

namespace assent::integration {
namespace {

constexpr std::size_t kOrdersBetween = 50;
constexpr int kStartsWhileFull = 3;
// The log takes space ahead by this, which it can still write when the disk is full.
constexpr const char* kSmallFiles = "[log]\nwrite_buffer_bytes = \"64KiB\"\nmax_wal_bytes = \"1MiB\"\n";

// A file system of this process and its children alone, of a few megabytes; it goes with them. Takes root.
class SmallDisk {
 public:
  SmallDisk() : path_(std::filesystem::temp_directory_path() / UniqueName("disk")) {
    std::filesystem::create_directories(path_);
    const bool is_mounted = unshare(CLONE_NEWNS) == 0 &&
                            mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                            mount("tmpfs", path_.c_str(), "tmpfs", 0, "size=32m") == 0;
    if (!is_mounted) why_not_ = std::strerror(errno);
  }
  ~SmallDisk() {
    umount2(path_.c_str(), MNT_DETACH);
    std::filesystem::remove_all(path_);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  const std::string& why_not() const { return why_not_; }  // empty where there is one
  std::filesystem::path data_dir() const { return path_ / "data"; }

  // Takes all space that there is now.
  void Fill() const {
    const std::string block(4096, 'x');
    const int file = open(ballast().c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    while (write(file, block.data(), block.size()) > 0) {
    }
    EXPECT_EQ(errno, ENOSPC);
    close(file);
  }
  void Empty() const { std::filesystem::remove(ballast()); }

 private:
  std::filesystem::path ballast() const { return path_ / "ballast"; }

  const std::filesystem::path path_;
  std::string why_not_;
};

TEST(FullDiskTest, EverybodyAgreesWhenThereIsSpaceAgain) {
  const SmallDisk disk;
  if (!disk.why_not().empty()) GTEST_SKIP() << "no file system can be mounted here: " << disk.why_not();
  const Stores stores;
  Assentd assentd(PostgresParticipant("orders-db", stores.orders.conninfo()) +
                      PostgresParticipant("stock-db", stores.stock.conninfo()) + KafkaParticipant("events"),
                  kSmallFiles, disk.data_dir());
  ASSERT_TRUE(assentd.Start());
  Load load(assentd.address(), stores, kClients, absl::Seconds(5), kRejectedEvery);
  int full_at_work = 0;
  int full_at_start = 0;
  // Files that the log no longer needs may go, and make room: it is taken at once.
  const auto end_of_a_full_one = [&] { return assentd.AwaitEnd([&] { disk.Fill(); }); };
  for (int round = 0; round < Rounds() && !testing::Test::HasFailure(); ++round) {
    load.Resume();
    const std::size_t before = load.acknowledged_so_far();
    ASSERT_TRUE(Await([&] { return load.acknowledged_so_far() >= before + kOrdersBetween; }));
    EXPECT_GT(end_of_a_full_one(), 0);
    EXPECT_THAT(assentd.Log(), testing::HasSubstr("No space left on device"));
    ++full_at_work;
    for (int start = 0; start < kStartsWhileFull; ++start) {  // as a service manager would
      disk.Fill();
      if (!assentd.TryStart()) {
        ++full_at_start;
        continue;
      }
      EXPECT_GT(end_of_a_full_one(), 0);
      ++full_at_work;
    }
    disk.Empty();
    ASSERT_TRUE(assentd.Start());
    ExpectAgreementSoonAfter(std::chrono::steady_clock::now(), load, stores);
  }
  std::cout << "the disk was full " << full_at_work << " times at work, and " << full_at_start << " times at a start\n";
}

}  // namespace
}  // namespace assent::integration
