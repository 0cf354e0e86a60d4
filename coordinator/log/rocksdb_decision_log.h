#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "coordinator/log/decision_log.h"

namespace rocksdb {
class Env;
}

namespace assent {

// Ends the process at once, after a message on stderr: the default of DecisionLogOptions::on_failure.
[[noreturn]] void EndProcess(const absl::Status& status);

// Where a decision log lies, and its bounds and times.
struct DecisionLogOptions {
  std::string data_dir;     // made where it is missing
  std::string coordinator;  // [a-z0-9]{1,32}; a log belongs to one coordinator for ever

  // Outcomes are kept for this long, counted both by the wall clock and by the time for which processes have had the
  // log open: a wall clock that jumps makes nothing forgotten …
  absl::Duration outcome_retention = absl::Hours(24);
  // … or until their keys and values (before compression) are more than this; whichever comes first.
  std::uint64_t max_outcome_bytes = 10ull << 30;
  absl::Duration prune_interval = absl::Seconds(1);  // between two looks for outcomes to prune
  std::size_t max_pruned_per_step = 1000;            // outcomes; steps follow each other while there is work

  // An END that something waits for is synced after this, if no group has come by then.
  absl::Duration end_sync_delay = absl::Milliseconds(5);
  std::uint64_t sequence_reservation = 1'000'000;  // sequences reserved at a time; the next when half are used
  std::uint64_t max_group_bytes = 4ull << 20;      // of one write: what has queued beyond it makes the next group

  // Entries and look-ups that wait. The engine's bound on open transactions and the server's on calls keep both far
  // below; reaching one is a bug, and a CHECK.
  std::size_t max_queued_entries = 4'000'000;
  std::size_t max_queued_lookups = 1'000'000;

  std::uint64_t max_wal_bytes = 64ull << 20;       // read again at a start
  std::uint64_t write_buffer_bytes = 16ull << 20;  // of memory, a column family
  std::uint64_t block_cache_bytes = 16ull << 20;   // of memory, for look-ups

  // Called once, when a write or a read of the log has failed. Should it return (tests), the log runs no completion any
  // more.
  std::function<void(const absl::Status&)> on_failure = EndProcess;

  const Clock* clock = &SystemClock();
  rocksdb::Env* env = nullptr;  // the file system of RocksDB; null: the machine's. Outlives the log
};

// Opens the decision log in options.data_dir, or makes it where the folder is missing or empty. Returns when this
// process's epoch is durable. Blocks, for as long as reading the write-ahead log takes.
//
//   INVALID_ARGUMENT     a name that is no coordinator's
//   FAILED_PRECONDITION  the folder is another coordinator's, another program's, in use, or of a newer format
//   DATA_LOSS            what was once durable is damaged or missing; the message names the file
//   UNAVAILABLE          the file system failed
//
// Where it refuses, it has changed nothing. docs/log_format.md lists what it refuses and what it cannot see.
//
// The destructor of the log writes out what is queued, runs its completions, and waits for both of its threads.
absl::StatusOr<std::unique_ptr<DecisionLog>> OpenDecisionLog(DecisionLogOptions options);

}  // namespace assent
