#pragma once

#include <cstdint>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "coordinator/log/decision_log.h"

namespace assent {

// Which shard runs what. Constant after the start, shared by all shards. The number of shards may differ from one start
// to the next: an id of this epoch names its shard, everything older is dealt out anew.
class Routing {
 public:
  Routing(const LogStart& start, std::uint32_t shards);

  std::uint32_t ShardOf(const TxnId& txn) const;
  std::uint32_t ShardOfRequest(std::string_view request_id) const;
  // The shard that finishes a decision found in the log.
  std::uint32_t ShardOf(const v1::DecisionRecord& unfinished) const;

 private:
  std::uint32_t epoch_;
  std::uint32_t shards_;
  // sequence -> shard, of decisions whose request_id may come again: that goes by its own hash.
  absl::flat_hash_map<std::uint64_t, std::uint32_t> unfinished_;
};

}  // namespace assent
