#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "coordinator/log/log_database.h"
#include "rocksdb/write_batch.h"

namespace assent {

// What one step of the pruning removes; to be written as it is.
struct PrunePlan {
  std::vector<std::uint64_t> sequences;  // of `outcomes`
  std::vector<std::string> request_ids;  // of `requests`
  std::uint64_t bytes = 0;               // of both
  bool more = false;                     // the step's bound ended it, and not the age of what follows

  // Of the transactions that are removed: behind the last one's sequence, and behind the last moment at which one that
  // had a request_id was decided. Zero where there is none.
  std::uint64_t forgotten_before = 0;
  std::int64_t requests_forgotten_before_us = 0;

  void AppendTo(rocksdb::WriteBatch& batch, const LogDatabase& database) const;
};

// Chooses the outcomes that the log forgets: the oldest, in the order of their sequences.
//
// By age, an outcome goes when both the wall clock and the log's uptime say that it is older than the retention: a wall
// clock that jumps cannot make it old, nor can a stopped process. Beyond the bound on bytes it goes at any age. A
// decision that has not ended stays in any case, and those behind it go.
//
// Owned by the log; used on its look-up thread.
class OutcomePruner {
 public:
  struct Options {
    absl::Duration outcome_retention;
    std::uint64_t max_outcome_bytes = 0;
    std::size_t max_pruned_per_step = 0;
  };

  OutcomePruner(const Options& options, const LogDatabase& database) : options_(options), database_(database) {}

  // The next step, given the time by both clocks, and Group::outcome_bytes. What a plan names must be written before
  // the next is made.
  absl::StatusOr<PrunePlan> Plan(absl::Time now, std::uint64_t uptime_us, std::uint64_t outcome_bytes);

 private:
  bool IsOld(const log_format::Outcome& outcome, absl::Time now, std::uint64_t uptime_us) const;
  absl::Status Add(std::uint64_t sequence, std::size_t value_size, const log_format::Outcome& outcome, absl::Time now,
                   PrunePlan& plan) const;

  const Options options_;
  const LogDatabase& database_;
  // Where the last step ended: RocksDB would walk over every removed key in front of it. From time to time the search
  // begins at the front again, for what had not ended when the search came by.
  std::uint64_t next_sequence_ = 0;
  std::uint64_t search_again_at_us_ = 0;
};

}  // namespace assent
