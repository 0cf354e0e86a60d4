#include <gtest/gtest.h>
#include <rocksdb/db.h>

#include <algorithm>
#include <random>

#include "coordinator/log/log_check.h"
#include "coordinator/log/log_database.h"
#include "coordinator/log/record_file.h"
#include "coordinator/log/synced_mark.h"
#include "tests/coordinator/log/log_testing.h"

// A log that was damaged while nobody had it open: it is refused, and untouched, or nothing that was durable is
// missing.
namespace assent {
namespace {

namespace fs = std::filesystem;

class LogDamageTest : public testing::Test {
 protected:
  // Makes a log with `count` decisions, each a group of its own; every third has ended. All of it is durable.
  void MakeLog(int count, std::uint64_t write_buffer_bytes = 16 << 20) {
    DecisionLogOptions options = MakeOptions(original_);
    options.write_buffer_bytes = write_buffer_bytes;
    const auto log = OpenOrDie(options);
    mark_at_start_ = ReadFile(original_ + "/synced");
    for (int i = 0; i < count; ++i) {
      const TxnId txn = MakeTxn(*log, log->NextSequence());
      decided_.push_back(MakeCommit(txn, "order-" + std::to_string(i)));
      DecideAndWait(*log, decided_.back());
      if (i % 3 == 0) {
        EndAndWait(*log, txn);
      } else {
        unfinished_.push_back(txn.ToString());
      }
    }
  }

  // A fresh copy of the log.
  void Copy() {
    fs::remove_all(copy_);
    fs::copy(original_, copy_, fs::copy_options::recursive);
  }

  // The files in log/ whose name ends so, the oldest first.
  std::vector<std::string> Files(const std::string& ending, const std::string& beginning = "") const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(original_ + "/log")) {
      const std::string name = entry.path().filename().string();
      if (name.ends_with(ending) && name.starts_with(beginning)) names.push_back("log/" + name);
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  // Opens the copy. True where it opened, and then every decision of `decided_` is in it, or the log reported that it
  // could not read one. Where it refused, nothing has changed.
  bool OpensWithEverything() {
    const auto before = Contents(copy_);
    DecisionLogOptions options = MakeOptions(copy_);
    int failures = 0;
    options.on_failure = [&](const absl::Status&) { ++failures; };
    const auto log = OpenDecisionLog(options);
    if (!log.ok()) {
      EXPECT_EQ(Contents(copy_), before) << log.status();
      refusal_ = log.status();
      return false;
    }
    std::vector<std::string> unfinished;
    for (const v1::DecisionRecord& decision : (*log)->start().unfinished) unfinished.push_back(decision.txn_id());
    EXPECT_EQ(unfinished, unfinished_);
    for (const v1::DecisionRecord& decision : decided_) {
      std::optional<LoggedOutcome> found;
      (*log)->FindTransaction(*ParseTxnId(decision.txn_id()), [&](auto answer) { found = std::move(answer).value(); });
      (*log)->Drain();
      if (failures > 0) break;
      EXPECT_TRUE(found && found->decision.request_id() == decision.request_id()) << decision.txn_id();
    }
    return true;
  }

  void Flip(const std::string& name, std::size_t at, int bit) {
    std::string bytes = ReadFile(copy_ + "/" + name);
    bytes[at] = static_cast<char>(bytes[at] ^ 1 << bit);
    WriteFile(copy_ + "/" + name, bytes);
  }

  // Where the records begin in the copy's write-ahead log, of which each is one fragment of the first block.
  std::vector<std::size_t> RecordBegins(const std::string& name) const {
    const std::string bytes = ReadFile(copy_ + "/" + name);
    std::vector<std::size_t> begins;
    for (std::size_t at = 0; at < bytes.size() && at < 32000;) {
      begins.push_back(at);
      at += 7 + static_cast<unsigned char>(bytes[at + 4]) + 256u * static_cast<unsigned char>(bytes[at + 5]);
    }
    return begins;
  }

  ScratchFolder folder_;
  const std::string original_ = folder_ / "original";
  const std::string copy_ = folder_ / "copy";
  std::string mark_at_start_;
  std::vector<v1::DecisionRecord> decided_;
  std::vector<std::string> unfinished_;
  absl::Status refusal_;
  std::mt19937 random_{20261};
};

TEST_F(LogDamageTest, AnUndamagedCopyOpens) {
  MakeLog(20);
  Copy();
  EXPECT_TRUE(OpensWithEverything());
}

TEST_F(LogDamageTest, AFlippedBitAnywhereInTheWriteAheadLogIsRefused) {
  MakeLog(12);
  const auto logs = Files(".log");
  ASSERT_EQ(logs.size(), 1u);
  const std::size_t size = fs::file_size(original_ + "/" + logs[0]);
  ASSERT_GT(size, 3000u);
  Copy();
  for (std::size_t at = 0; at < size; at += kStride) {
    const int bit = static_cast<int>(random_() % 8);
    Flip(logs[0], at, bit);
    ASSERT_FALSE(OpensWithEverything()) << "bit " << bit << " of byte " << at;
    EXPECT_EQ(refusal_.code(), absl::StatusCode::kDataLoss) << refusal_;
    EXPECT_NE(refusal_.message().find(logs[0]), std::string::npos) << refusal_;
    Flip(logs[0], at, bit);
  }
  EXPECT_TRUE(OpensWithEverything());
}

TEST_F(LogDamageTest, AWriteAheadLogCutAnywhereIsRefusedBecauseItWasLongerOnce) {
  MakeLog(12);
  const std::string name = Files(".log").at(0);
  const std::string bytes = ReadFile(original_ + "/" + name);
  Copy();
  for (std::size_t size = 0; size < bytes.size(); size += 11 * kStride) {
    WriteFile(copy_ + "/" + name, bytes.substr(0, size));
    ASSERT_FALSE(OpensWithEverything()) << size;
    EXPECT_EQ(refusal_.code(), absl::StatusCode::kDataLoss) << refusal_;
  }
}

// After a power cut the mark may be an old one: then the bytes alone must tell a torn end from a damaged one.
TEST_F(LogDamageTest, WithAnOldMarkAFlippedBitAnywhereIsRefusedToo) {
  MakeLog(6);
  const std::string name = Files(".log").at(0);
  const std::size_t size = fs::file_size(original_ + "/" + name);
  Copy();
  WriteFile(copy_ + "/synced", mark_at_start_);
  for (std::size_t at = 0; at < size; at += kStride) {
    const int bit = static_cast<int>(random_() % 8);
    Flip(name, at, bit);
    ASSERT_FALSE(OpensWithEverything()) << "bit " << bit << " of byte " << at;
    Flip(name, at, bit);
  }
}

TEST_F(LogDamageTest, WithAnOldMarkATornLastGroupIsCutOff) {
  MakeLog(6);
  const std::string name = Files(".log").at(0);
  std::string bytes = ReadFile(original_ + "/" + name);
  unfinished_.pop_back();
  decided_.pop_back();
  // The last group is one decision, of more than 150 bytes; the first of its sectors are on disk.
  Copy();
  WriteFile(copy_ + "/synced", mark_at_start_);
  WriteFile(copy_ + "/" + name, bytes.substr(0, bytes.size() - 100) + std::string(100, '\0'));
  EXPECT_TRUE(OpensWithEverything()) << refusal_;
  EXPECT_TRUE(OpensWithEverything()) << refusal_;  // and again, after the cut
}

TEST_F(LogDamageTest, AGroupThatIsMissingWithAllItsBytesIsRefused) {
  MakeLog(12);
  Copy();
  const std::string name = Files(".log").at(0);
  const std::vector<std::size_t> begins = RecordBegins(name);
  const std::string bytes = ReadFile(copy_ + "/" + name);
  for (std::size_t i = 0; i + 1 < begins.size(); ++i) {
    WriteFile(copy_ + "/" + name, bytes.substr(0, begins[i]) + bytes.substr(begins[i + 1]));
    ASSERT_FALSE(OpensWithEverything()) << i;
  }
}

TEST_F(LogDamageTest, AWriteAheadLogWhosePredecessorIsMissingIsRefused) {
  MakeLog(12);
  Copy();
  const std::string predecessor = Files(".log").at(0);
  {
    const auto log = OpenOrDie(MakeOptions(original_));
    DecideAndWait(*log, MakeCommit(MakeTxn(*log, log->NextSequence())));
  }
  const std::string successor = Files(".log").back();
  ASSERT_NE(successor, predecessor);
  fs::remove(copy_ + "/" + predecessor);
  fs::copy(original_ + "/" + successor, copy_ + "/" + successor);
  fs::copy(original_ + "/synced", copy_ + "/synced", fs::copy_options::overwrite_existing);
  EXPECT_FALSE(OpensWithEverything());
  EXPECT_NE(refusal_.message().find(successor), std::string::npos) << refusal_;
}

TEST_F(LogDamageTest, SpaceThatAKilledProcessHadAheadIsNoDamage) {
  MakeLog(12);
  Copy();
  const std::string name = Files(".log").at(0);
  const std::string bytes = ReadFile(copy_ + "/" + name);
  const std::string ahead(100'000, '\0');
  WriteFile(copy_ + "/" + name, bytes + ahead);
  EXPECT_TRUE(OpensWithEverything()) << refusal_;
  // It was killed just after it had begun the next write-ahead log.
  Copy();
  const std::size_t begin = RecordBegins(name).at(6);
  WriteFile(copy_ + "/" + name, bytes.substr(0, begin) + ahead);
  WriteFile(copy_ + "/log/000999.log", bytes.substr(begin) + ahead);
  EXPECT_TRUE(OpensWithEverything()) << refusal_;
}

TEST_F(LogDamageTest, ATornGroupWithGroupsBehindItInAnotherFileIsRefused) {
  MakeLog(12);
  Copy();
  const std::string name = Files(".log").at(0);
  const std::string bytes = ReadFile(copy_ + "/" + name);
  const std::vector<std::size_t> begins = RecordBegins(name);
  WriteFile(copy_ + "/" + name, bytes.substr(0, begins[6] - 20));
  WriteFile(copy_ + "/log/000999.log", bytes.substr(begins[6]));
  EXPECT_FALSE(OpensWithEverything());
}

// What the check before RocksDB's own is for.
TEST_F(LogDamageTest, RocksDbAloneTakesAFlippedTypeForTheEndOfTheLog) {
  MakeLog(12);
  Copy();
  const std::string name = Files(".log").at(0);
  // In the header of the third record, the type FULL (1) becomes one that only recycled logs have (5).
  Flip(name, RecordBegins(name).at(2) + 6, 2);
  EXPECT_FALSE(OpensWithEverything());

  rocksdb::DBOptions options;
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  families.reserve(log_format::kFamilyNames.size());
  for (const char* family : log_format::kFamilyNames) families.emplace_back(family, rocksdb::ColumnFamilyOptions());
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* opened = nullptr;
  ASSERT_TRUE(rocksdb::DB::Open(options, copy_ + "/log", families, &handles, &opened).ok());
  const std::unique_ptr<rocksdb::DB> database(opened);
  const std::unique_ptr<rocksdb::Iterator> outcomes(
      database->NewIterator(rocksdb::ReadOptions(), handles[log_format::kOutcomes]));
  std::size_t count = 0;
  for (outcomes->SeekToFirst(); outcomes->Valid(); outcomes->Next()) ++count;
  EXPECT_LT(count, decided_.size());
  for (rocksdb::ColumnFamilyHandle* handle : handles) database->DestroyColumnFamilyHandle(handle);
}

// With tables, and a write-ahead log behind them: small buffers.
class LargeLogDamageTest : public LogDamageTest {
 protected:
  LargeLogDamageTest() { MakeLog(800, 64 << 10); }
};

TEST_F(LargeLogDamageTest, AMissingFileIsRefusedUnlessNothingIsLostWithIt) {
  ASSERT_FALSE(Files(".sst").empty());
  std::vector<std::string> names = {"LOCK", "identity", "synced"};
  for (const std::string& name : Files("")) names.push_back(name);
  int refused = 0;
  for (const std::string& name : names) {
    Copy();
    fs::remove(copy_ + "/" + name);
    if (OpensWithEverything()) continue;
    ++refused;
  }
  // At least: identity, synced, CURRENT, the manifest, a write-ahead log and a table.
  EXPECT_GE(refused, 6);
}

TEST_F(LargeLogDamageTest, AFlippedBitInATableLosesNothingUnseen) {
  for (std::size_t i = 0; i < 25; i += kStride) {
    const std::vector<std::string> tables = Files(".sst");
    const std::string& name = tables[random_() % tables.size()];
    Copy();
    Flip(name, random_() % fs::file_size(copy_ + "/" + name), static_cast<int>(random_() % 8));
    OpensWithEverything();
  }
}

TEST_F(LargeLogDamageTest, AFlippedBitInTheManifestLosesNothingUnseen) {
  const std::string name = Files("", "MANIFEST").at(0);
  const std::size_t size = fs::file_size(original_ + "/" + name);
  Copy();
  int opened = 0;
  for (std::size_t at = 0; at < size; at += (size / 300 + 1) * kStride) {
    const int bit = static_cast<int>(random_() % 8);
    Flip(name, at, bit);
    const bool opens = OpensWithEverything();
    opened += opens;
    if (opens) {
      Copy();
    } else {
      Flip(name, at, bit);
    }
  }
  EXPECT_EQ(opened, 0);
}

// What RocksDB takes for the end of the manifest, and so forgets the tables that follow.
TEST_F(LargeLogDamageTest, ADamagedHeaderInTheManifestIsRefusedByItsName) {
  const std::string name = Files("", "MANIFEST").at(0);
  Copy();
  const std::string bytes = ReadFile(copy_ + "/" + name);
  for (const std::size_t begin : RecordBegins(name)) {
    for (const bool zeros : {false, true}) {
      std::string damaged = bytes;
      damaged[begin + 5] = static_cast<char>(damaged[begin + 5] ^ 0x40);  // a length far behind the end of the file
      if (zeros) std::fill_n(damaged.begin() + static_cast<std::ptrdiff_t>(begin), 7, '\0');
      WriteFile(copy_ + "/" + name, damaged);
      ASSERT_FALSE(OpensWithEverything()) << begin;
      EXPECT_NE(refusal_.message().find(name + ": "), std::string::npos)
          << refusal_ << ", record at " << begin << " of " << bytes.size() << (zeros ? ", zeros" : "");
    }
  }
}

}  // namespace
}  // namespace assent
