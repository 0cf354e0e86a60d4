#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/time/time.h"

namespace assent::kafka {

// The right to begin one transaction: a transactional id with its current producer id and epoch.
struct ProducerSession {
  std::uint32_t number = 0;  // of the transactional id
  std::int64_t producer_id = -1;
  std::int16_t epoch = -1;

  friend bool operator==(const ProducerSession&, const ProducerSession&) = default;
};

// Which transactional ids a shard has, and what each may be used for. Pure: it talks to nobody and knows no clock.
//
//               Grow, Adopt            Fenced                  Take
//   (not here) ------------> kFencing ---------> kIdle ------------------> kInUse
//                               ^                  ^                         |  |
//                               |                  +-------- Return ---------+  |
//                               +------------------- MustFence ----------------+
//
// Before an id is used by this process, InitProducerId fences whoever used it before (kFencing). An idle id is used
// again in the order of return, and only when it has rested: the broker is still writing the markers of its last
// transaction. A pinned id belongs to a decided transaction of an earlier process: it is in none of these states, and
// nothing touches it until Unpin().
//
// A number is this shard's where number % shard_count == shard, so that every id of the coordinator has one shard that
// fences it, whatever the number of shards was before.
class TransactionalIdPool {
 public:
  struct Options {
    std::uint32_t shard = 0;
    std::uint32_t shard_count = 1;
    std::size_t most = 256;                        // ids in use, idle and being fenced
    absl::Duration rest = absl::Milliseconds(20);  // of an id between two transactions
    absl::Duration stale_after = absl::Hours(12);  // an id idle for longer is fenced again: brokers forget ids
  };

  explicit TransactionalIdPool(Options options);

  // Ids that a decided transaction of an earlier process holds.
  void Pin(std::uint32_t number) { pinned_.insert(number); }
  // Its transaction has ended: Adopt() may take it. False: it was not pinned.
  bool Unpin(std::uint32_t number) { return pinned_.erase(number) > 0; }

  // A number to fence, for a larger pool; nothing at the bound.
  std::optional<std::uint32_t> Grow();

  // An id that was found at the broker, or unpinned: true if this shard is to fence it now. Beyond the bound it is
  // fenced and let go.
  bool Adopt(std::uint32_t number, bool of_any_shard = false);

  // InitProducerId succeeded. Such an id has no markers to wait for.
  void Fenced(const ProducerSession& session, absl::Duration now);

  // The id that has been idle for longest, if it has rested, or if no other could be made; `hurry` takes it anyhow.
  std::optional<ProducerSession> Take(absl::Duration now, bool hurry = false);

  // The transaction has ended, and this is the id's next session.
  void Return(const ProducerSession& next, absl::Duration now);

  // Whether the transaction of an id has ended is not known, or its next session is not.
  void MustFence(std::uint32_t number);

  // An answer to InitProducerId was lost: the request may still be carried out, at any time, and would abort whatever
  // transaction the id is in by then. The id is let go as soon as it is not in use, and never given out again.
  void Burn(std::uint32_t number) { burnt_.insert(number); }

  // Idle ids that have been idle for too long; they are to be fenced now.
  std::vector<std::uint32_t> TakeStale(absl::Duration now);

  // An idle id is to be fenced now: true where it is idle.
  bool TakeIdle(std::uint32_t number);

  // Whether this shard uses or fences the id, or a decided transaction needs it; other shards' ids are for those to
  // know.
  bool IsKnown(std::uint32_t number) const {
    return !IsOfThisShard(number) || states_.contains(number) || pinned_.contains(number);
  }
  bool IsFencing(std::uint32_t number) const;
  std::size_t size() const { return states_.size(); }
  std::size_t idle() const { return idle_.size(); }
  std::size_t in_use() const { return in_use_; }
  std::size_t pinned() const { return pinned_.size(); }
  std::size_t most() const { return options_.most; }

 private:
  enum class State : std::uint8_t { kFencing, kIdle, kInUse };

  struct Idle {
    ProducerSession session;
    absl::Duration since;  // its last transaction ended, or it was fenced
    bool has_markers;      // may the broker still be writing those of that transaction?
  };

  bool IsOfThisShard(std::uint32_t number) const { return number % options_.shard_count == options_.shard; }

  const Options options_;
  std::uint32_t next_number_;
  std::size_t in_use_ = 0;
  absl::flat_hash_map<std::uint32_t, State> states_;
  absl::flat_hash_set<std::uint32_t> pinned_;
  absl::flat_hash_set<std::uint32_t> burnt_;
  std::deque<Idle> idle_;
};

}  // namespace assent::kafka
