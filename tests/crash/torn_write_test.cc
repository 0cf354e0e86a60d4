// A torn last write of the decision log: the machine loses power while assentd writes, and of the group that it was
// writing some sectors are on disk and some are not. Independent readers agree after the restart.
//
// Only what nobody was told of may be torn: a disk keeps what was synced. At the failpoint group_synced the last group
// stands in the file, and nobody has heard of it: `synced` does not name it yet, and no completion has run. Whether the
// sync itself had returned is then nobody's business, so that the same file is what a power cut in the middle of it
// may leave. Everything before that group was synced, perhaps acknowledged, and stays.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "coordinator/log/log_format.h"
#include "coordinator/log/record_file.h"
#include "tests/crash/coordinator_under_load.h"

namespace assent::integration {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kSectorSize = 512;  // the smallest unit that a disk writes as a whole
constexpr int kLogRefuses = 3;            // docs/configuration.md, "exit codes"

// What of the last group is on disk.
enum class OnDisk { kEverything, kItsBeginning, kSomeSectors, kNothing };

std::string NameOf(OnDisk on_disk) {
  switch (on_disk) {
    case OnDisk::kEverything:
      return "Everything";
    case OnDisk::kItsBeginning:
      return "ItsBeginning";
    case OnDisk::kSomeSectors:
      return "SomeSectors";
    case OnDisk::kNothing:
      return "Nothing";
  }
  return "";
}

struct Extent {
  std::size_t begin = 0;
  std::size_t end = 0;
};

std::string ReadFile(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void WriteFile(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

fs::path NewestWriteAheadLog(const fs::path& data_dir) {
  fs::path newest;
  for (const auto& entry : fs::directory_iterator(data_dir / "log")) {
    if (entry.path().extension() == ".log") newest = std::max(newest, entry.path());  // their numbers have six digits
  }
  return newest;
}

// Up to where a write-ahead log is whole.
std::size_t SoundSize(std::string_view file) {
  const auto end = ReadRecordFile(file, log_format::kGroupTrailer, [](std::string_view) { return absl::OkStatus(); });
  return end.ok() ? end->sound_size : 0;
}

Extent LastGroup(std::string_view file) {
  const std::size_t end = SoundSize(file);
  if (end == 0) return {};
  // Without its last byte it is no group, and the file is sound up to the one before it.
  return {.begin = SoundSize(file.substr(0, end - 1)), .end = end};
}

std::vector<Extent> SectorsOf(const Extent& extent) {
  std::vector<Extent> sectors;
  for (std::size_t begin = extent.begin; begin < extent.end;) {
    const std::size_t end = std::min(extent.end, (begin / kSectorSize + 1) * kSectorSize);
    sectors.push_back({.begin = begin, .end = end});
    begin = end;
  }
  return sectors;
}

void LeaveUnwritten(std::string& file, const Extent& extent) {
  std::fill(file.begin() + static_cast<std::ptrdiff_t>(extent.begin),
            file.begin() + static_cast<std::ptrdiff_t>(extent.end), '\0');
}

// A disk writes the sectors of one write in any order; one that it did not come to reads as zeros in a file that has
// its space ahead, or lies behind the end of one that has not.
void Tear(std::string& file, const Extent& group, OnDisk on_disk, std::mt19937& random) {
  switch (on_disk) {
    case OnDisk::kEverything:
      return;
    case OnDisk::kItsBeginning:
      return file.resize(group.begin + random() % (group.end - group.begin));
    case OnDisk::kSomeSectors: {
      const std::vector<Extent> sectors = SectorsOf(group);
      // The last of several is there: so it looks like a group that is whole, and damaged.
      const std::size_t candidates = std::max<std::size_t>(1, sectors.size() - 1);
      const std::size_t surely = random() % candidates;
      for (std::size_t i = 0; i < candidates; ++i) {
        if (i == surely || random() % 2 == 0) LeaveUnwritten(file, sectors[i]);
      }
      return;
    }
    case OnDisk::kNothing:
      return LeaveUnwritten(file, group);
  }
}

// One coordinator, and what it works on.
struct World : CoordinatorUnderLoad {
  int power_cuts = 0;
  std::size_t sectors_torn = 0;
};

class TornWriteTest : public testing::TestWithParam<OnDisk> {
 protected:
  static void SetUpTestSuite() { world_ = new World; }
  static void TearDownTestSuite() {
    world_->Stop();
    std::cout << world_->power_cuts << " power cuts, with groups of " << world_->sectors_torn << " sectors\n";
    delete std::exchange(world_, nullptr);
  }

  // From here on it is as after a crash at that failpoint; the newest write-ahead log.
  static fs::path CrashAt(const std::string& failpoint, int times) {
    EXPECT_TRUE(world_->CrashAt(failpoint, times));
    ++world_->power_cuts;
    return NewestWriteAheadLog(world_->assentd.data_dir());
  }

  static void ExpectRecovery() {
    ASSERT_TRUE(world_->assentd.Start());
    ExpectAgreementSoonAfter(std::chrono::steady_clock::now(), world_->load, world_->stores);
  }

  static World* world_;
};

World* TornWriteTest::world_ = nullptr;

TEST_P(TornWriteTest, OfTheLastGroupLosesNothingThatAnybodyWasToldOf) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  for (int round = 0; round < Rounds() && !HasFailure(); ++round) {
    const fs::path log = CrashAt("group_synced", 1 + static_cast<int>(random() % 40));
    std::string bytes = ReadFile(log);
    const Extent group = LastGroup(bytes);
    ASSERT_GT(group.end, group.begin) << log;
    world_->sectors_torn += SectorsOf(group).size();
    Tear(bytes, group, GetParam(), random);
    WriteFile(log, bytes);
    ExpectRecovery();
  }
}

INSTANTIATE_TEST_SUITE_P(OnDiskIs, TornWriteTest,
                         testing::Values(OnDisk::kEverything, OnDisk::kItsBeginning, OnDisk::kSomeSectors,
                                         OnDisk::kNothing),
                         [](const auto& test) { return NameOf(test.param); });

// A disk that loses what it said was synced: assentd must not go on as if that had never been decided.
class LostGroupTest : public TornWriteTest {};

TEST_P(LostGroupTest, ThatWasKnownToBeSyncedIsRefused) {
  std::mt19937 random(std::random_device{}());
  const fs::path log = CrashAt("group_marked", 1 + static_cast<int>(random() % 40));
  const std::string whole = ReadFile(log);
  const Extent group = LastGroup(whole);
  world_->sectors_torn += SectorsOf(group).size();
  std::string torn = whole;
  Tear(torn, group, GetParam(), random);
  WriteFile(log, torn);
  const Refusal refused = world_->assentd.StartRefused();
  EXPECT_EQ(refused.exit_code, kLogRefuses);
  EXPECT_EQ(ReadFile(log), torn) << "it is left as it was";
  WriteFile(log, whole);
  ExpectRecovery();
}

INSTANTIATE_TEST_SUITE_P(OnDiskIs, LostGroupTest,
                         testing::Values(OnDisk::kItsBeginning, OnDisk::kSomeSectors, OnDisk::kNothing),
                         [](const auto& test) { return NameOf(test.param); });

}  // namespace
}  // namespace assent::integration
