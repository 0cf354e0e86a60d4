#include "coordinator/engine/routing.h"

#include "base/crc32c.h"
#include "base/mutant.h"

namespace assent {

Routing::Routing(const LogStart& start, std::uint32_t shards) : epoch_(start.epoch), shards_(shards) {
  for (const v1::DecisionRecord& record : start.unfinished) {
    const auto id = ParseTxnId(record.txn_id());
    if (ASSENT_MUTANT(unfinished_request_misrouted)) break;
    if (id && !record.request_id().empty()) unfinished_[id->sequence] = ShardOfRequest(record.request_id());
  }
}

std::uint32_t Routing::ShardOf(const TxnId& txn) const {
  if (txn.epoch == epoch_ && txn.shard < shards_) return txn.shard;
  const auto found = unfinished_.find(txn.sequence);
  return found != unfinished_.end() ? found->second : static_cast<std::uint32_t>(txn.sequence % shards_);
}

std::uint32_t Routing::ShardOfRequest(std::string_view request_id) const {
  // Abseil's hash is another one in each process: no run of a test would be that of another.
  return Crc32c(request_id) % shards_;
}

std::uint32_t Routing::ShardOf(const v1::DecisionRecord& unfinished) const {
  const auto id = ParseTxnId(unfinished.txn_id());
  return id ? ShardOf(*id) : 0;
}

}  // namespace assent
