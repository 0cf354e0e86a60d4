#include "participants/kafka/transactional_id_pool.h"

#include "base/check.h"

namespace assent::kafka {

TransactionalIdPool::TransactionalIdPool(Options options) : options_(options), next_number_(options.shard) {
  ASSENT_CHECK(options_.shard < options_.shard_count && options_.most > 0, "a pool is some shard's, and has room");
}

std::optional<std::uint32_t> TransactionalIdPool::Grow() {
  if (states_.size() >= options_.most) return std::nullopt;
  while (states_.contains(next_number_) || pinned_.contains(next_number_) || burnt_.contains(next_number_)) {
    next_number_ += options_.shard_count;
  }
  const std::uint32_t number = next_number_;
  next_number_ += options_.shard_count;
  states_[number] = State::kFencing;
  return number;
}

bool TransactionalIdPool::Adopt(std::uint32_t number, bool of_any_shard) {
  if (!of_any_shard && !IsOfThisShard(number)) return false;
  if (pinned_.contains(number) || states_.contains(number)) return false;
  states_[number] = State::kFencing;
  return true;
}

void TransactionalIdPool::Fenced(const ProducerSession& session, absl::Duration now) {
  const auto found = states_.find(session.number);
  ASSENT_CHECK(found != states_.end() && found->second == State::kFencing, "only an id that was to be fenced is");
  if (idle_.size() + in_use_ >= options_.most || burnt_.contains(session.number)) {
    states_.erase(found);
    return;
  }
  found->second = State::kIdle;
  idle_.push_front({.session = session, .since = now, .has_markers = false});
}

std::optional<ProducerSession> TransactionalIdPool::Take(absl::Duration now, bool hurry) {
  if (idle_.empty()) return std::nullopt;
  const bool has_rested = !idle_.front().has_markers || now - idle_.front().since >= options_.rest;
  const bool is_full = states_.size() >= options_.most;
  if (!has_rested && !is_full && !hurry) return std::nullopt;
  const ProducerSession session = idle_.front().session;
  idle_.pop_front();
  states_[session.number] = State::kInUse;
  ++in_use_;
  return session;
}

void TransactionalIdPool::Return(const ProducerSession& next, absl::Duration now) {
  const auto found = states_.find(next.number);
  ASSENT_CHECK(found != states_.end() && found->second == State::kInUse, "only an id in use is returned");
  --in_use_;
  if (burnt_.contains(next.number)) {
    states_.erase(found);
    return;
  }
  found->second = State::kIdle;
  idle_.push_back({.session = next, .since = now, .has_markers = true});
}

void TransactionalIdPool::MustFence(std::uint32_t number) {
  const auto found = states_.find(number);
  ASSENT_CHECK(found != states_.end() && found->second == State::kInUse, "only an id in use is given back");
  found->second = State::kFencing;
  --in_use_;
}

std::vector<std::uint32_t> TransactionalIdPool::TakeStale(absl::Duration now) {
  std::vector<std::uint32_t> stale;
  while (!idle_.empty() && now - idle_.front().since > options_.stale_after) {
    stale.push_back(idle_.front().session.number);
    states_[idle_.front().session.number] = State::kFencing;
    idle_.pop_front();
  }
  return stale;
}

bool TransactionalIdPool::TakeIdle(std::uint32_t number) {
  if (std::erase_if(idle_, [&](const Idle& idle) { return idle.session.number == number; }) == 0) return false;
  states_[number] = State::kFencing;
  return true;
}

bool TransactionalIdPool::IsFencing(std::uint32_t number) const {
  const auto found = states_.find(number);
  return found != states_.end() && found->second == State::kFencing;
}

}  // namespace assent::kafka
