#include "coordinator/log/log_check.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <map>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "coordinator/log/file_io.h"
#include "coordinator/log/record_file.h"
#include "coordinator/log/synced_mark.h"
#include "rocksdb/write_batch.h"

namespace assent {
namespace {

using log_format::Group;

// A file of the database folder whose name has a number: 000012.log, MANIFEST-000004.
struct NumberedFile {
  std::uint64_t number = 0;
  std::string path;
};

std::optional<std::uint64_t> ParseFileNumber(std::string_view digits) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (digits.empty() || error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return number;
}

// The write-ahead logs of a database, the oldest first.
absl::StatusOr<std::vector<NumberedFile>> ListWriteAheadLogs(const std::string& folder) {
  std::vector<NumberedFile> files;
  std::error_code error;
  for (auto entry = std::filesystem::directory_iterator(folder, error);
       !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    const std::filesystem::path& path = entry->path();
    const std::optional<std::uint64_t> number = ParseFileNumber(path.stem().string());
    if (number && path.extension() == ".log") files.push_back({.number = *number, .path = path.string()});
  }
  if (error) return absl::UnavailableError(absl::StrCat("cannot list ", folder, ": ", error.message()));
  std::sort(files.begin(), files.end(),
            [](const NumberedFile& a, const NumberedFile& b) { return a.number < b.number; });
  return files;
}

// Looks through one batch of a write-ahead log: its group, what it writes to `meta`, and whether its decisions are
// ones.
class BatchReader : public rocksdb::WriteBatch::Handler {
 public:
  explicit BatchReader(std::map<std::string, std::string>& meta) : meta_(meta) {}

  using Handler::PutCF;
  rocksdb::Status PutCF(std::uint32_t family, const rocksdb::Slice& key, const rocksdb::Slice& value) override {
    group_.reset();
    if (family == log_format::kMeta) {
      meta_[key.ToString()] = value.ToString();
      if (key.ToStringView() == log_format::kGroupKey) group_ = log_format::DecodeGroup(value.ToStringView());
    } else if (family == log_format::kActive && status_.ok()) {
      status_ = ParseActive(key.ToStringView(), value.ToStringView()).status();
    }
    return rocksdb::Status::OK();
  }
  rocksdb::Status DeleteCF(std::uint32_t, const rocksdb::Slice&) override {
    group_.reset();
    return rocksdb::Status::OK();
  }

  const std::optional<Group>& group() const { return group_; }  // where it is the last entry, as it has to be
  const absl::Status& status() const { return status_; }

 private:
  std::map<std::string, std::string>& meta_;
  std::optional<Group> group_;
  absl::Status status_;
};

// The groups in one write-ahead log.
struct GroupsOfFile {
  std::string path;
  std::optional<Group> first;
  std::optional<Group> last;
};

absl::Status Lost(const std::string& path, std::string_view what) {
  return absl::DataLossError(absl::StrCat("the decision log is damaged: ", path, ": ", std::string(what)));
}

// Reads one batch and continues `groups` with it.
absl::Status TakeBatch(std::string_view record, std::map<std::string, std::string>& meta, GroupsOfFile& groups) {
  const rocksdb::WriteBatch batch{std::string(record)};
  BatchReader reader(meta);
  const rocksdb::Status read = batch.Iterate(&reader);
  if (!read.ok()) return Lost(groups.path, absl::StrCat("a record that is no batch: ", read.ToString()));
  if (!reader.status().ok()) return Lost(groups.path, std::string(reader.status().message()));
  if (!reader.group()) return Lost(groups.path, "a batch that does not end with its group's number");
  if (groups.last && reader.group()->number != groups.last->number + 1) {
    return Lost(groups.path, absl::StrCat("group ", groups.last->number, " is followed by group ",
                                          reader.group()->number, ": those between are lost"));
  }
  if (!groups.first) groups.first = reader.group();
  groups.last = reader.group();
  return absl::OkStatus();
}

// What all write-ahead logs of a database hold.
struct WriteAheadLogs {
  std::vector<GroupsOfFile> files;          // those that hold any, the oldest first
  std::map<std::string, std::string> meta;  // the last value of each key of `meta`
  std::vector<CheckedLog::Excess> excess;
};

absl::StatusOr<WriteAheadLogs> ReadWriteAheadLogs(const std::string& folder) {
  const absl::StatusOr<std::vector<NumberedFile>> files = ListWriteAheadLogs(folder);
  if (!files.ok()) return files.status();
  WriteAheadLogs logs;
  for (const NumberedFile& file : *files) {
    const absl::StatusOr<std::string> bytes = ReadWholeFile(file.path);
    if (!bytes.ok()) return bytes.status();
    GroupsOfFile groups{.path = file.path, .first = {}, .last = {}};
    const absl::StatusOr<RecordFileEnd> end =
        ReadRecordFile(*bytes, log_format::kGroupTrailer,
                       [&](std::string_view record) { return TakeBatch(record, logs.meta, groups); });
    if (!end.ok()) return end.status();
    if (end->kind == RecordFileEnd::Kind::kDamaged) return Lost(file.path, end->what);
    // A torn group is the last of all: what a later file holds behind it is a gap.
    if (end->kind != RecordFileEnd::Kind::kWhole) {
      logs.excess.push_back({.path = file.path, .sound_size = end->sound_size});
    }
    if (groups.first) logs.files.push_back(std::move(groups));
  }
  return logs;
}

// RocksDB takes a damaged last record of its manifest for the end of it, and forgets the tables named there.
absl::Status CheckManifest(const std::string& folder) {
  absl::StatusOr<std::string> current = ReadWholeFile(folder + "/CURRENT");
  if (!current.ok()) return current.status();
  if (!current->ends_with('\n')) return Lost(folder + "/CURRENT", "expected a manifest's name and a line feed");
  current->pop_back();
  const std::string path = absl::StrCat(folder, "/", *current);
  const absl::StatusOr<std::string> bytes = ReadWholeFile(path);
  if (absl::IsNotFound(bytes.status())) return Lost(path, "it is missing, and CURRENT names it");
  if (!bytes.ok()) return bytes.status();
  const absl::StatusOr<RecordFileEnd> end =
      ReadRecordFile(*bytes, "", [](std::string_view) { return absl::OkStatus(); });
  if (!end.ok()) return end.status();
  if (end->kind == RecordFileEnd::Kind::kDamaged) return Lost(path, end->what);
  return absl::OkStatus();
}

// Every group behind `in_tables` up to the newest is in the write-ahead logs; gives the newest.
absl::StatusOr<Group> CheckNothingIsMissing(const std::string& folder, const Group& in_tables,
                                            const WriteAheadLogs& logs) {
  Group newest = in_tables;
  for (const GroupsOfFile& file : logs.files) {
    if (file.first->number > newest.number + 1) {
      return Lost(file.path,
                  absl::StrCat("it begins with group ", file.first->number, ", and the last one before it in ", folder,
                               " is group ", newest.number, ": those between are lost"));
    }
    if (file.last->number > newest.number) newest = *file.last;
  }
  return newest;
}

// The tables' and write-ahead logs' view of one key of `meta`.
absl::StatusOr<std::optional<std::string>> MetaValue(const LogDatabase& tables, const WriteAheadLogs& logs,
                                                     std::string_view key) {
  const auto found = logs.meta.find(std::string(key));
  if (found != logs.meta.end()) return std::optional<std::string>(found->second);
  return tables.Get(log_format::kMeta, key);
}

absl::Status CheckMeta(const LogFolder& folder, const LogDatabase& tables, const WriteAheadLogs& logs) {
  const auto expect = [&](std::string_view key, const std::string& expected) -> absl::Status {
    const absl::StatusOr<std::optional<std::string>> value = MetaValue(tables, logs, key);
    if (!value.ok()) return value.status();
    if (*value == expected) return absl::OkStatus();
    return absl::DataLossError(absl::StrCat(folder.database_path(), " is not the database of ", folder.path(),
                                            "/identity: its ", std::string(key), " differs. Restore the whole folder"));
  };
  const CoordinatorId& coordinator = folder.coordinator();
  for (const absl::Status& same :
       {expect(log_format::kVersionKey, log_format::EncodeUint64(log_format::kVersion)),
        expect(log_format::kCoordinatorKey, coordinator.name),
        expect(log_format::kIncarnationKey, log_format::EncodeUint64(coordinator.incarnation))}) {
    if (!same.ok()) return same;
  }
  return absl::OkStatus();
}

// Reads every decision that waits for its end out of the tables, their blocks' checksums included.
absl::Status CheckActive(const LogDatabase& tables) {
  const std::unique_ptr<rocksdb::Iterator> active = tables.Scan(log_format::kActive);
  for (active->SeekToFirst(); active->Valid(); active->Next()) {
    absl::Status parsed = ParseActive(active->key().ToStringView(), active->value().ToStringView()).status();
    if (!parsed.ok()) return parsed;
  }
  return tables.ToStatus(active->status());
}

absl::StatusOr<Group> GroupInTables(const std::string& path, const LogDatabase& tables) {
  const absl::StatusOr<std::optional<std::string>> value = tables.Get(log_format::kMeta, log_format::kGroupKey);
  if (!value.ok()) return value.status();
  if (!value->has_value()) return Group();
  const std::optional<Group> group = log_format::DecodeGroup(**value);
  if (!group) return Lost(path, "meta/group is no group");
  return *group;
}

}  // namespace

absl::StatusOr<v1::DecisionRecord> ParseActive(std::string_view key, std::string_view value) {
  v1::DecisionRecord decision;
  const std::optional<std::uint64_t> sequence = log_format::DecodeUint64(key);
  if (!sequence || !decision.ParseFromArray(value.data(), static_cast<int>(value.size()))) {
    return absl::DataLossError("an entry of `active` is no decision");
  }
  const std::optional<TxnId> txn = ParseTxnId(decision.txn_id());
  if (!txn || txn->sequence != *sequence) {
    return absl::DataLossError(
        absl::StrCat("active/", *sequence, " holds the decision of \"", decision.txn_id(), "\""));
  }
  return decision;
}

absl::StatusOr<CheckedLog> CheckLog(const LogFolder& folder, const LogDatabaseOptions& options) {
  const absl::StatusOr<std::uint64_t> synced = SyncedMark::Read(folder.path());
  if (!synced.ok()) return synced.status();
  const std::string path = folder.database_path();
  if (absl::Status manifest = CheckManifest(path); !manifest.ok()) return manifest;
  const absl::StatusOr<WriteAheadLogs> logs = ReadWriteAheadLogs(path);
  if (!logs.ok()) return logs.status();
  const absl::StatusOr<std::unique_ptr<LogDatabase>> tables = LogDatabase::OpenTables(options, folder.path());
  if (!tables.ok()) return tables.status();

  const absl::StatusOr<Group> in_tables = GroupInTables(path, **tables);
  if (!in_tables.ok()) return in_tables.status();
  const absl::StatusOr<Group> newest = CheckNothingIsMissing(path, *in_tables, *logs);
  if (!newest.ok()) return newest.status();
  if (newest->number < *synced) {
    return Lost(path, absl::StrCat("its last group is ", newest->number, ", and group ", *synced,
                                   " was durable: those behind the last are lost"));
  }
  if (absl::Status meta = CheckMeta(folder, **tables, *logs); !meta.ok()) return meta;
  if (absl::Status active = CheckActive(**tables); !active.ok()) return active;
  return CheckedLog{.newest = *newest, .excess = logs->excess};
}

absl::Status CutExcess(const CheckedLog& log) {
  for (const CheckedLog::Excess& excess : log.excess) {
    if (absl::Status cut = CutFile(excess.path, excess.sound_size); !cut.ok()) return cut;
  }
  return absl::OkStatus();
}

absl::Status CheckNewestGroup(const LogDatabase& database, const Group& newest) {
  const absl::StatusOr<std::optional<std::string>> value = database.Get(log_format::kMeta, log_format::kGroupKey);
  if (!value.ok()) return value.status();
  if (*value == log_format::EncodeGroup(newest)) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat("the decision log's write-ahead log ends with group ", newest.number,
                                          ", and RocksDB has recovered another state"));
}

}  // namespace assent
