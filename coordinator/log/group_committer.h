#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "coordinator/log/log_database.h"
#include "coordinator/log/log_failure.h"
#include "coordinator/log/log_format.h"
#include "coordinator/log/synced_mark.h"
#include "coordinator/log/uptime.h"
#include "rocksdb/write_batch.h"

namespace assent {

// The one writer of the decision log. It has no timer: what has queued while one group was being written and synced is
// the next group, so that a group is as large as the load makes it. Every group ends with its number.
//
// Owned by the log. Append() is thread-safe; the writing and the completions are on the committer's own thread.
class GroupCommitter {
 public:
  struct Options {
    std::uint64_t max_group_bytes = 0;
    std::size_t max_queued_entries = 0;
    absl::Duration end_sync_delay;
  };

  // When an entry has to be durable.
  enum class Urgency {
    kNow,   // as soon as the write before it is done
    kSoon,  // with the next group, after end_sync_delay at the latest
    kRide,  // with the next group, whenever that comes
  };

  using Done = absl::AnyInvocable<void()>;

  // Continues behind `last`. All arguments outlive the committer.
  GroupCommitter(const Options& options, const log_format::Group& last, const Uptime& uptime, LogDatabase& database,
                 SyncedMark& mark, LogFailure& failure);

  // Writes what is queued and runs its completions.
  ~GroupCommitter();

  // Adds an entry to the next group: `fill` is called at once and puts what is to be written into the batch. `done`
  // may be empty. `outcome_bytes` is what the entry adds to Group::outcome_bytes. After a failure: does nothing.
  void Append(Urgency urgency, absl::FunctionRef<void(rocksdb::WriteBatch&)> fill, std::int64_t outcome_bytes,
              Done done);

  // Waits until the completion of every entry so far has run.
  void Drain();

  // Group::outcome_bytes of the last durable group.
  std::uint64_t outcome_bytes() const { return outcome_bytes_; }

 private:
  using Time = std::chrono::steady_clock::time_point;

  // Entries that are written together.
  struct Pending {
    rocksdb::WriteBatch batch;
    std::vector<Done> done;  // in the order of the entries
    std::size_t entries = 0;
    std::int64_t outcome_bytes = 0;
  };

  void Run();
  // Waits until a group is due and takes it; false when there is nothing left to do.
  bool Take(Pending& group);
  // Writes, syncs and marks the group; false after a failure.
  bool Commit(Pending& group);

  const Options options_;
  const Uptime& uptime_;
  LogDatabase& database_;
  SyncedMark& mark_;
  LogFailure& failure_;

  log_format::Group last_;  // the committer's thread only
  std::atomic<std::uint64_t> outcome_bytes_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Pending> queue_;  // all but the last have reached max_group_bytes
  std::size_t queued_entries_ = 0;
  Time due_ = Time::max();  // when the front of the queue has to be written
  bool asleep_ = false;
  bool stopping_ = false;

  std::thread thread_;  // the last member: it uses the others
};

}  // namespace assent
