#include "coordinator/log/log_reader.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "coordinator/log/log_check.h"
#include "coordinator/log/log_format.h"

namespace assent {

using log_format::EncodeUint64;

// ---- Transactions ---------------------------------------------------------------------------------------------------

absl::StatusOr<LogReader::Found> LogReader::FindTransaction(const TxnId& txn) const {
  absl::StatusOr<Found> found = Find(txn.sequence);
  if (!found.ok()) return found;
  if (!found->has_value()) return FindInAudit(txn);
  // The same sequence in an id of another shard or epoch: nobody has ever given out that id.
  if ((*found)->decision.txn_id() != txn.ToString()) return Found();
  return found;
}

absl::StatusOr<LogReader::Found> LogReader::FindRequest(const std::string& request_id) const {
  const absl::StatusOr<std::optional<std::string>> sequence = database_.Get(log_format::kRequests, request_id);
  if (!sequence.ok()) return sequence.status();
  if (!sequence->has_value()) return Found();
  const std::optional<std::uint64_t> number = log_format::DecodeUint64(**sequence);
  if (!number) return absl::DataLossError(absl::StrCat("decision log: requests/", request_id, " is no sequence"));
  return Find(*number);
}

absl::StatusOr<LogReader::Found> LogReader::Find(std::uint64_t sequence) const {
  const std::string key = EncodeUint64(sequence);
  const absl::StatusOr<std::optional<std::string>> active = database_.Get(log_format::kActive, key);
  if (!active.ok()) return active.status();
  if (active->has_value()) {
    v1::DecisionRecord decision;
    if (decision.ParseFromString(**active))
      return WithHeuristics({.decision = std::move(decision), .ended = false}, key);
    return absl::DataLossError(absl::StrCat("decision log: active/", sequence, " is no decision"));
  }
  const absl::StatusOr<std::optional<std::string>> kept = database_.Get(log_format::kOutcomes, key);
  if (!kept.ok()) return kept.status();
  if (!kept->has_value()) return Found();
  std::optional<log_format::Outcome> outcome = log_format::DecodeOutcome(**kept);
  if (!outcome) return absl::DataLossError(absl::StrCat("decision log: outcomes/", sequence, " is no outcome"));
  return WithHeuristics({.decision = std::move(outcome->decision), .ended = true}, key);
}

// A presumed abort leaves no outcome, and an old outcome is pruned: what a branch did against it stays.
absl::StatusOr<LogReader::Found> LogReader::FindInAudit(const TxnId& txn) const {
  LoggedOutcome outcome{.ended = true};
  outcome.decision.set_txn_id(txn.ToString());
  absl::StatusOr<Found> found = WithHeuristics(std::move(outcome), EncodeUint64(txn.sequence));
  if (!found.ok()) return found;
  for (const v1::HeuristicRecord& record : (*found)->heuristics) {
    if (record.decided() != v1::COMMITTED && record.decided() != v1::ABORTED) continue;
    (*found)->decision.set_outcome(record.decided());
    return found;
  }
  return Found();
}

absl::StatusOr<LogReader::Found> LogReader::WithHeuristics(LoggedOutcome found, const std::string& sequence_key) const {
  const std::unique_ptr<rocksdb::Iterator> audit = database_.Scan(log_format::kAudit);
  for (audit->Seek(sequence_key); audit->Valid() && audit->key().starts_with(sequence_key); audit->Next()) {
    v1::HeuristicRecord record;
    if (!record.ParseFromArray(audit->value().data(), static_cast<int>(audit->value().size()))) {
      return absl::DataLossError(absl::StrCat("decision log: audit/", found.decision.txn_id(), " is no record"));
    }
    // A step forced on another log's transaction may stand under the same sequence.
    if (record.txn_id() == found.decision.txn_id()) found.heuristics.push_back(std::move(record));
  }
  if (!audit->status().ok()) return database_.ToStatus(audit->status());
  return found;
}

absl::StatusOr<AuditPage> LogReader::ReadAudit(const std::string& after, std::size_t limit) const {
  AuditPage page;
  const std::unique_ptr<rocksdb::Iterator> audit = database_.Scan(log_format::kAudit);
  for (audit->Seek(after); audit->Valid(); audit->Next()) {
    if (!after.empty() && audit->key() == after) continue;
    if (page.records.size() == limit) return page;
    const rocksdb::Slice value = audit->value();
    if (!page.records.emplace_back().ParseFromArray(value.data(), static_cast<int>(value.size()))) {
      return absl::DataLossError(absl::StrCat("decision log: audit/", audit->key().ToString(true), " is no record"));
    }
    page.last_key = audit->key().ToString();
  }
  if (!audit->status().ok()) return database_.ToStatus(audit->status());
  page.last_key.clear();
  return page;
}

// ---- The start of the next process ----------------------------------------------------------------------------------

absl::StatusOr<std::uint64_t> LogReader::ReadNumber(std::string_view meta_key) const {
  const absl::StatusOr<std::optional<std::uint64_t>> found = database_.GetNumber(meta_key);
  if (!found.ok()) return found.status();
  return found->value_or(0);
}

absl::StatusOr<LogStart> LogReader::ReadStart(const CoordinatorId& coordinator) const {
  LogStart start{.coordinator = coordinator};
  const absl::StatusOr<std::uint64_t> epoch = ReadNumber(log_format::kEpochKey);
  if (!epoch.ok()) return epoch.status();
  start.epoch = static_cast<std::uint32_t>(*epoch) + 1;
  const absl::StatusOr<std::uint64_t> reserved = ReadNumber(log_format::kReservedKey);
  if (!reserved.ok()) return reserved.status();
  start.reserved_sequences = *reserved;
  if (absl::Status read = ReadTakenOver(start); !read.ok()) return read;
  absl::StatusOr<std::vector<v1::DecisionRecord>> unfinished = ReadUnfinished();
  if (!unfinished.ok()) return unfinished.status();
  start.unfinished = *std::move(unfinished);
  return start;
}

absl::Status LogReader::ReadTakenOver(LogStart& start) const {
  const std::unique_ptr<rocksdb::Iterator> meta = database_.Scan(log_format::kMeta);
  const std::string prefix(log_format::kTakenOverPrefix);
  for (meta->Seek(prefix); meta->Valid() && meta->key().starts_with(prefix); meta->Next()) {
    const std::optional<std::uint64_t> epoch = log_format::DecodeUint64(meta->value().ToStringView());
    const std::string key = meta->key().ToString();
    if (!epoch) return absl::DataLossError(absl::StrCat("the decision log's meta/", key, " is no number"));
    start.taken_over[key.substr(prefix.size())] = static_cast<std::uint32_t>(*epoch);
  }
  return database_.ToStatus(meta->status());
}

absl::StatusOr<std::vector<v1::DecisionRecord>> LogReader::ReadUnfinished() const {
  std::vector<v1::DecisionRecord> unfinished;
  const std::unique_ptr<rocksdb::Iterator> active = database_.Scan(log_format::kActive);
  for (active->SeekToFirst(); active->Valid(); active->Next()) {
    absl::StatusOr<v1::DecisionRecord> decision =
        ParseActive(active->key().ToStringView(), active->value().ToStringView());
    if (!decision.ok()) return decision.status();
    unfinished.push_back(*std::move(decision));
  }
  if (!active->status().ok()) return database_.ToStatus(active->status());
  return unfinished;
}

}  // namespace assent
