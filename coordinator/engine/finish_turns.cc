#include "coordinator/engine/finish_turns.h"

#include <utility>

namespace assent {

void FinishTurns::Await(absl::AnyInvocable<void(Turn)> start) {
  waiting_.push_back(std::move(start));
  StartNext();
}

void FinishTurns::End(Turn turn) {
  const auto found = under_way_.find(turn);
  if (found == under_way_.end()) return;
  scheduler_.Cancel(found->second);
  under_way_.erase(found);
  StartNext();
}

void FinishTurns::StartNext() {
  // An attempt may end inside its start: the loop below goes on then, not one call deeper for each.
  if (std::exchange(starting_, true)) return;
  while (!waiting_.empty() && under_way_.size() < at_once_) {
    absl::AnyInvocable<void(Turn)> start = std::move(waiting_.front());
    waiting_.pop_front();
    const Turn turn = ++last_turn_;
    under_way_[turn] = scheduler_.After(kLongestTurn, [this, turn] { End(turn); });
    start(turn);
  }
  starting_ = false;
}

}  // namespace assent
