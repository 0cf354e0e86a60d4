#include "coordinator/log/group_committer.h"

#include <algorithm>
#include <future>
#include <utility>

#include "absl/time/clock.h"
#include "base/check.h"
#include "base/failpoint.h"

namespace assent {

GroupCommitter::GroupCommitter(const Options& options, const log_format::Group& last, const Uptime& uptime,
                               LogDatabase& database, SyncedMark& mark, LogFailure& failure)
    : options_(options),
      uptime_(uptime),
      database_(database),
      mark_(mark),
      failure_(failure),
      last_(last),
      outcome_bytes_(last.outcome_bytes),
      thread_([this] { Run(); }) {}

GroupCommitter::~GroupCommitter() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_one();
  }
  thread_.join();
}

void GroupCommitter::Append(Urgency urgency, absl::FunctionRef<void(rocksdb::WriteBatch&)> fill,
                            std::int64_t outcome_bytes, Done done) {
  const std::lock_guard lock(mutex_);
  if (failure_.happened()) return;
  ASSENT_CHECK(queued_entries_ < options_.max_queued_entries, "DecisionLogOptions::max_queued_entries is reached");
  if (queue_.empty() || queue_.back().batch.GetDataSize() >= options_.max_group_bytes) queue_.emplace_back();
  Pending& group = queue_.back();
  fill(group.batch);
  if (done) group.done.push_back(std::move(done));
  ++group.entries;
  ++queued_entries_;
  group.outcome_bytes += outcome_bytes;

  Time due = Time::max();
  switch (urgency) {
    case Urgency::kNow:
      due = Time::min();
      break;
    case Urgency::kSoon:
      // Not when it is due already: a group is about to take this entry along, and asking the clock costs time.
      if (due_ != Time::min()) {
        due = std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(options_.end_sync_delay);
      }
      break;
    case Urgency::kRide:
      break;
  }
  if (queue_.size() > 1) due = Time::min();
  if (due >= due_) return;
  due_ = due;
  if (asleep_) changed_.notify_one();
}

void GroupCommitter::Run() {
  Pending group;
  while (Take(group)) {
    if (!Commit(group)) {
      const std::lock_guard lock(mutex_);
      queue_.clear();
      return;
    }
    // In order, and before the next group is taken: the completions of one thread's entries run in the order of its
    // calls.
    for (Done& done : group.done) done();
    group = Pending();
  }
}

void GroupCommitter::Drain() {
  // Where the entry is dropped after a failure, its promise is broken, which ends the waiting too.
  std::promise<void> promise;
  const std::future<void> written = promise.get_future();
  Append(
      Urgency::kNow, [](rocksdb::WriteBatch&) {}, 0, [promise = std::move(promise)]() mutable { promise.set_value(); });
  written.wait();
}

bool GroupCommitter::Take(Pending& group) {
  std::unique_lock lock(mutex_);
  while (!stopping_ && due_ > std::chrono::steady_clock::now()) {
    asleep_ = true;
    if (due_ == Time::max()) {
      changed_.wait(lock);
    } else {
      changed_.wait_until(lock, due_);
    }
    asleep_ = false;
  }
  if (queue_.empty()) return false;
  group = std::move(queue_.front());
  queue_.pop_front();
  queued_entries_ -= group.entries;
  due_ = queue_.empty() ? Time::max() : Time::min();
  return true;
}

bool GroupCommitter::Commit(Pending& group) {
  if (failure_.happened()) return false;
  ++last_.number;
  last_.uptime_us = std::max(last_.uptime_us, uptime_.now_us());
  last_.outcome_bytes = static_cast<std::uint64_t>(
      std::max<std::int64_t>(0, static_cast<std::int64_t>(last_.outcome_bytes) + group.outcome_bytes));
  const std::string key(log_format::kGroupKey);
  group.batch.Put(database_.family(log_format::kMeta), key, log_format::EncodeGroup(last_));
  HitFailpoint(Failpoint::kGroupUnwritten);
  absl::Status written = database_.Write(group.batch);
  HitFailpoint(Failpoint::kGroupSynced);
  if (written.ok()) written = mark_.Write(last_.number);
  if (!written.ok()) {
    failure_.Report(written);
    return false;
  }
  outcome_bytes_ = last_.outcome_bytes;
  HitFailpoint(Failpoint::kGroupMarked);
  return true;
}

}  // namespace assent
