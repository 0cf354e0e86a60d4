#include "participants/postgres/statement_cache.h"

#include <random>
#include <utility>

#include "absl/strings/str_cat.h"

namespace assent::postgres {
namespace {

std::string UnguessablePrefix() {
  std::random_device random;
  return absl::StrCat("assent_", absl::Hex(random(), absl::kZeroPad8), absl::Hex(random(), absl::kZeroPad8), "_");
}

}  // namespace

StatementCache::StatementCache(std::uint32_t capacity) : capacity_(capacity), name_prefix_(UnguessablePrefix()) {}

StatementCache::Use StatementCache::Next(std::string_view key, bool at_once) {
  if (capacity_ == 0) return {};
  const auto found = by_key_.find(std::string(key));
  if (found == by_key_.end()) {
    if (entries_.size() >= capacity_) EvictOldest();
    entries_.push_front({std::string(key), ""});
    by_key_[entries_.front().key] = entries_.begin();
    if (!at_once) return {};
  } else {
    entries_.splice(entries_.begin(), entries_, found->second);
  }
  Entry& entry = entries_.front();
  if (!entry.name.empty()) return {entry.name, false};
  entry.name = absl::StrCat(name_prefix_, ++last_name_);
  by_name_[entry.name] = entries_.begin();
  return {entry.name, true};
}

void StatementCache::Drop(std::string_view name) {
  const auto found = by_name_.find(std::string(name));
  if (found == by_name_.end()) return;
  const Entries::iterator entry = found->second;
  by_name_.erase(found);
  by_key_.erase(entry->key);
  entries_.erase(entry);
}

void StatementCache::EvictOldest() {
  const Entries::iterator oldest = std::prev(entries_.end());
  if (!oldest->name.empty()) {
    evicted_.push_back(oldest->name);
    by_name_.erase(oldest->name);
  }
  by_key_.erase(oldest->key);
  entries_.erase(oldest);
}

std::vector<std::string> StatementCache::TakeEvicted() { return std::exchange(evicted_, {}); }

}  // namespace assent::postgres
