#include "coordinator/log/record_file.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "base/crc32c.h"

namespace assent {
namespace {

using Kind = RecordFileEnd::Kind;

constexpr std::string_view kTrailer = "\xa5group\xa5.";
constexpr std::size_t kBlock = 32768;
constexpr std::size_t kHeader = 7;

void AppendFragment(std::string& file, char type, std::string_view payload) {
  const std::uint32_t crc = Crc32c(type + std::string(payload));
  const std::uint32_t masked = (crc >> 15 | crc << 17) + 0xa282ead8u;
  for (int i = 0; i < 4; ++i) file += static_cast<char>(masked >> 8 * i);
  file += static_cast<char>(payload.size());
  file += static_cast<char>(payload.size() >> 8);
  file += type;
  file += payload;
}

// Writes a record as RocksDB does.
void AppendRecord(std::string& file, std::string_view record) {
  bool first = true;
  do {
    std::size_t room = kBlock - file.size() % kBlock;
    if (room < kHeader) {
      file.append(room, '\0');
      room = kBlock;
    }
    const std::size_t size = std::min(record.size(), room - kHeader);
    const bool last = size == record.size();
    const char type = first ? (last ? 1 : 2) : (last ? 4 : 3);
    AppendFragment(file, type, record.substr(0, size));
    record.remove_prefix(size);
    first = false;
  } while (!record.empty());
}

// A record of `size` bytes without a zero among them, with the trailer at its end.
std::string MakeRecord(std::size_t size, int seed) {
  std::string record;
  while (record.size() + kTrailer.size() < size) record += static_cast<char>('a' + (record.size() + seed) % 26);
  return record + std::string(kTrailer);
}

struct ReadBack {
  std::vector<std::string> records;
  RecordFileEnd end;
};

ReadBack ReadAll(std::string_view file, std::string_view trailer = kTrailer) {
  ReadBack result;
  const auto end = ReadRecordFile(file, trailer, [&](std::string_view record) {
    result.records.emplace_back(record);
    return absl::OkStatus();
  });
  EXPECT_TRUE(end.ok()) << end.status();
  result.end = *end;
  return result;
}

class RecordFileTest : public testing::Test {
 protected:
  RecordFileTest() {
    // Within a block, up to a few bytes before the end of one, over one border, and over two.
    for (std::size_t size : {100u, 1000u, 31000u, 600u, 2000u, 70000u, 300u}) {
      records_.push_back(MakeRecord(size, static_cast<int>(size)));
      AppendRecord(file_, records_.back());
      ends_.push_back(file_.size());
    }
  }

  // How many records end within the first `size` bytes.
  std::size_t RecordsWithin(std::size_t size) const {
    return static_cast<std::size_t>(std::upper_bound(ends_.begin(), ends_.end(), size) - ends_.begin());
  }

  std::string file_;
  std::vector<std::string> records_;
  std::vector<std::size_t> ends_;
};

TEST_F(RecordFileTest, EveryRecordReadsBack) {
  const ReadBack read = ReadAll(file_);
  EXPECT_EQ(read.records, records_);
  EXPECT_EQ(read.end.kind, Kind::kWhole);
  EXPECT_EQ(read.end.sound_size, file_.size());
}

TEST_F(RecordFileTest, AnEmptyFileIsWhole) { EXPECT_EQ(ReadAll("").end.kind, Kind::kWhole); }

TEST_F(RecordFileTest, AFileCutAnywhereIsTornAtItsLastRecord) {
  for (std::size_t size = 0; size <= file_.size(); size += size > ends_[1] && size + 8 < ends_[5] ? 41 : 1) {
    const ReadBack read = ReadAll(std::string_view(file_).substr(0, size));
    const std::size_t whole = RecordsWithin(size);
    ASSERT_EQ(read.records.size(), whole) << size;
    const std::size_t sound = whole == 0 ? 0 : ends_[whole - 1];
    ASSERT_EQ(read.end.sound_size, sound) << size;
    ASSERT_EQ(read.end.kind, sound == size ? Kind::kWhole : Kind::kTorn) << size << ": " << read.end.what;
  }
}

TEST_F(RecordFileTest, AFileThatIsZeroFromAnywhereOnIsTorn) {
  std::vector<std::size_t> sizes = ends_;
  sizes.pop_back();
  for (std::size_t size = 0; size < file_.size(); size += 97) sizes.push_back(size);
  for (const std::size_t size : sizes) {
    std::string file = file_;
    std::fill(file.begin() + static_cast<std::ptrdiff_t>(size), file.end(), '\0');
    const ReadBack read = ReadAll(file);
    ASSERT_EQ(read.records.size(), RecordsWithin(size)) << size;
    const bool between = std::find(ends_.begin(), ends_.end(), size) != ends_.end() || size == 0;
    ASSERT_EQ(read.end.kind, between ? Kind::kZeros : Kind::kTorn) << size << ": " << read.end.what;
  }
}

TEST_F(RecordFileTest, SpaceGivenAheadIsNoDamage) {
  for (std::size_t zeros : {1u, 6u, 7u, 600u, 100'000u}) {
    const ReadBack read = ReadAll(file_ + std::string(zeros, '\0'));
    EXPECT_EQ(read.records, records_);
    EXPECT_EQ(read.end.kind, Kind::kZeros);
    EXPECT_EQ(read.end.sound_size, file_.size());
  }
}

TEST_F(RecordFileTest, AFlippedBitInFrontOfSpaceGivenAheadIsDamage) {
  for (std::size_t at = ends_[5]; at < ends_[6]; ++at) {
    std::string file = file_ + std::string(40'000, '\0');
    file[at] = static_cast<char>(file[at] ^ 4);
    ASSERT_EQ(ReadAll(file).end.kind, Kind::kDamaged) << at;
    ASSERT_EQ(ReadAll(file, "").end.kind, Kind::kDamaged) << at;
  }
}

TEST_F(RecordFileTest, ASectorOfTheLastRecordThatWasNeverWrittenIsTorn) {
  AppendRecord(file_, MakeRecord(40000, 1));
  for (std::size_t sector = ends_.back() / 512; sector * 512 < file_.size(); ++sector) {
    std::string file = file_;
    const std::size_t begin = std::max(ends_.back(), sector * 512);
    for (std::size_t i = begin; i < std::min(file.size(), (sector + 1) * 512); ++i) file[i] = '\0';
    const ReadBack read = ReadAll(file);
    ASSERT_EQ(read.end.kind, Kind::kTorn) << sector << ": " << read.end.what;
    ASSERT_EQ(read.end.sound_size, ends_.back());
  }
}

TEST_F(RecordFileTest, ASectorThatWasLostBeforeTheLastRecordIsDamage) {
  for (std::size_t sector = 0; (sector + 1) * 512 < ends_[5]; ++sector) {
    std::string file = file_;
    std::fill_n(file.begin() + static_cast<std::ptrdiff_t>(sector * 512), 512, '\0');
    ASSERT_EQ(ReadAll(file).end.kind, Kind::kDamaged) << sector;
  }
}

TEST_F(RecordFileTest, AFlippedBitAnywhereIsDamage) {
  std::mt19937 random(1);
  std::size_t flips = 0;
  for (std::size_t at = 0; at < file_.size(); ++at) {
    // Each byte of the headers and of the short records; some in the middle of a long one.
    const bool near_an_end =
        std::any_of(ends_.begin(), ends_.end(), [&](std::size_t end) { return at + 400 > end && at < end + 50; });
    if (!near_an_end && at % kBlock > 20 && at % kBlock < kBlock - 20 && at % 97 != 0) continue;
    const int bit = static_cast<int>(random() % 8);
    std::string file = file_;
    file[at] = static_cast<char>(file[at] ^ 1 << bit);
    const ReadBack read = ReadAll(file);
    ASSERT_EQ(read.end.kind, Kind::kDamaged) << "bit " << bit << " of byte " << at;
    ASSERT_LE(read.records.size(), RecordsWithin(at));
    ++flips;
  }
  EXPECT_GT(flips, 2000u);
}

TEST_F(RecordFileTest, WithoutATrailerAFlippedBitInTheLastRecordIsDamageToo) {
  for (std::size_t at = ends_[5]; at < file_.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string file = file_;
      file[at] = static_cast<char>(file[at] ^ 1 << bit);
      ASSERT_EQ(ReadAll(file, "").end.kind, Kind::kDamaged) << "bit " << bit << " of byte " << at;
    }
  }
}

TEST_F(RecordFileTest, WithoutATrailerAFileCutAnywhereIsTorn) {
  for (std::size_t size = ends_[5]; size < file_.size(); ++size) {
    const ReadBack read = ReadAll(std::string_view(file_).substr(0, size), "");
    ASSERT_EQ(read.end.kind, size == ends_[5] ? Kind::kWhole : Kind::kTorn) << size << ": " << read.end.what;
  }
}

TEST_F(RecordFileTest, AStatusOfTheCallerEndsTheReading) {
  int seen = 0;
  const auto end = ReadRecordFile(file_, kTrailer, [&](std::string_view) {
    return ++seen == 3 ? absl::DataLossError("no batch") : absl::OkStatus();
  });
  EXPECT_EQ(end.status(), absl::DataLossError("no batch"));
  EXPECT_EQ(seen, 3);
}

}  // namespace
}  // namespace assent
