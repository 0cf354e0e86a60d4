#pragma once

#include <cstdint>
#include <deque>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "coordinator/engine/scheduler.h"

namespace assent {

// Whose turn it is to be finished, of the branches at one participant that an earlier process left or that have to be
// tried again: some at a time, the others in order. So thousands of them neither come over a participant that has just
// returned, nor stand before the branches of new transactions, which take no turns.
//
// A turn ends with its attempt, or after kLongestTurn: an attempt that gets no answer holds up nobody.
//
// Owned by a Runner, on the shard's thread; the scheduler outlives it. As many can wait as the shard has branches.
class FinishTurns {
 public:
  using Turn = std::uint64_t;  // never 0

  static constexpr absl::Duration kLongestTurn = absl::Seconds(1);

  FinishTurns(Scheduler& scheduler, std::uint32_t at_once) : scheduler_(scheduler), at_once_(at_once) {}

  // `start` runs when its turn comes; inside the call where one is free.
  void Await(absl::AnyInvocable<void(Turn)> start);

  // The attempt has ended. One whose turn was over before is no error.
  void End(Turn turn);

 private:
  void StartNext();

  Scheduler& scheduler_;
  const std::uint32_t at_once_;
  std::deque<absl::AnyInvocable<void(Turn)>> waiting_;
  absl::flat_hash_map<Turn, Scheduler::TimerId> under_way_;
  Turn last_turn_ = 0;
  bool starting_ = false;
};

}  // namespace assent
