#include "coordinator/log/outcome_pruner.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "coordinator/log/log_format.h"

namespace assent {

using log_format::DecodeUint64;
using log_format::EncodeUint64;

void PrunePlan::AppendTo(rocksdb::WriteBatch& batch, const LogDatabase& database) const {
  for (const std::uint64_t sequence : sequences) {
    batch.Delete(database.family(log_format::kOutcomes), EncodeUint64(sequence));
  }
  for (const std::string& request_id : request_ids) {
    batch.Delete(database.family(log_format::kRequests), request_id);
  }
}

absl::StatusOr<PrunePlan> OutcomePruner::Plan(absl::Time now, std::uint64_t uptime_us, std::uint64_t outcome_bytes) {
  if (uptime_us >= search_again_at_us_) {
    next_sequence_ = 0;
    search_again_at_us_ =
        uptime_us + static_cast<std::uint64_t>(absl::ToInt64Microseconds(options_.outcome_retention / 24));
  }
  PrunePlan plan;
  const std::unique_ptr<rocksdb::Iterator> outcomes = database_.Scan(log_format::kOutcomes);
  std::size_t seen = 0;
  for (outcomes->Seek(EncodeUint64(next_sequence_)); outcomes->Valid(); outcomes->Next()) {
    if (seen++ == options_.max_pruned_per_step) {
      plan.more = true;
      break;
    }
    const std::optional<std::uint64_t> sequence = DecodeUint64(outcomes->key().ToStringView());
    const std::optional<log_format::Outcome> outcome = log_format::DecodeOutcome(outcomes->value().ToStringView());
    if (!sequence || !outcome) {
      return absl::DataLossError(
          absl::StrCat("decision log: outcomes/", outcomes->key().ToString(true), " is no outcome"));
    }
    const bool too_much = outcome_bytes - std::min(plan.bytes, outcome_bytes) > options_.max_outcome_bytes;
    if (!too_much && !IsOld(*outcome, now, uptime_us)) break;
    next_sequence_ = *sequence + 1;
    if (absl::Status added = Add(*sequence, outcomes->value().size(), *outcome, now, plan); !added.ok()) {
      return added;
    }
  }
  if (!outcomes->status().ok()) return database_.ToStatus(outcomes->status());
  return plan;
}

bool OutcomePruner::IsOld(const log_format::Outcome& outcome, absl::Time now, std::uint64_t uptime_us) const {
  const absl::Duration by_wall = now - absl::FromUnixMicros(outcome.decision.decided_at_us());
  const absl::Duration by_uptime = absl::Microseconds(uptime_us - std::min(uptime_us, outcome.decided_at_uptime_us));
  return std::min(by_wall, by_uptime) >= options_.outcome_retention;
}

absl::Status OutcomePruner::Add(std::uint64_t sequence, std::size_t value_size, const log_format::Outcome& outcome,
                                absl::Time now, PrunePlan& plan) const {
  const std::string key = EncodeUint64(sequence);
  const absl::StatusOr<std::optional<std::string>> active = database_.Get(log_format::kActive, key);
  if (!active.ok()) return active.status();
  if (active->has_value()) return absl::OkStatus();

  plan.sequences.push_back(sequence);
  plan.bytes += key.size() + value_size;
  plan.forgotten_before = sequence + 1;
  const std::string& request_id = outcome.decision.request_id();
  if (request_id.empty()) return absl::OkStatus();
  const absl::StatusOr<std::optional<std::string>> owner = database_.Get(log_format::kRequests, request_id);
  if (!owner.ok()) return owner.status();
  // The id may be that of a later transaction by now, where a caller used it again after it was forgotten.
  if (*owner != key) return absl::OkStatus();
  plan.request_ids.push_back(request_id);
  plan.bytes += request_id.size() + key.size();
  // Never in the future: a wall clock that was ahead for a while must not bar requests until it is that late.
  plan.requests_forgotten_before_us = std::max(plan.requests_forgotten_before_us,
                                               std::min(outcome.decision.decided_at_us(), absl::ToUnixMicros(now)) + 1);
  return absl::OkStatus();
}

}  // namespace assent
