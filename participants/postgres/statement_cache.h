#pragma once

#include <cstdint>
#include <list>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"

namespace assent::postgres {

// Which statements one connection has prepared, by text and parameter types, least recently used first out. A statement
// is prepared on its second use: the first may be its only one. Names are never used twice on a connection, and no
// caller's SQL can hit one by guessing: it would replace our statement by its own.
class StatementCache {
 public:
  explicit StatementCache(std::uint32_t capacity);

  struct Use {
    std::string name;      // empty: send it unprepared
    bool prepare = false;  // prepare it under that name first
  };
  // Notes a use. `at_once`: prepare it although it is new.
  Use Next(std::string_view key, bool at_once);

  // The server did not take the preparation, or no longer has the statement.
  void Drop(std::string_view name);

  // Names of statements that fell out since the last call, to be deallocated.
  std::vector<std::string> TakeEvicted();

 private:
  struct Entry {
    std::string key;
    std::string name;
  };
  using Entries = std::list<Entry>;

  void EvictOldest();

  const std::uint32_t capacity_;
  const std::string name_prefix_;
  std::uint64_t last_name_ = 0;
  Entries entries_;  // most recently used first
  absl::flat_hash_map<std::string, Entries::iterator> by_key_;
  absl::flat_hash_map<std::string, Entries::iterator> by_name_;
  std::vector<std::string> evicted_;
};

}  // namespace assent::postgres
