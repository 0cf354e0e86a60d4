#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "participants/kafka/cluster.h"
#include "participants/kafka/lost_markers.h"
#include "participants/kafka/open_transactions.h"
#include "participants/kafka/wire/cluster_messages.h"

namespace assent::kafka {

// A transactional id of an earlier process that no unfinished token holds, as its coordinator lists it once it is not
// being ended any more.
struct LeftBehindId {
  std::uint32_t number = 0;
  std::string transactional_id;
  std::int64_t producer_id = -1;
  std::string state;
};

// Looks, before ids of an earlier process are fenced, whether their last transactions are still open somewhere: Kafka
// may have lost markers, and fencing erases the state that tells how a transaction was decided. Which partitions it was
// in nobody knows any more, so every one that this client may see is asked.
//
//   ended, and open somewhere ----> LostMarkers; then it may be fenced
//   Empty, and open somewhere ----> likewise: it was fenced, and nobody knows any more how it was decided
//   Ongoing ----------------------> it may be fenced, which aborts it; LostMarkers remembers where it was
//   open nowhere -----------------> it may be fenced
//
// Keeps itself alive through its requests; used on the shard's thread. Cluster and markers outlive it.
class LeftBehind : public std::enable_shared_from_this<LeftBehind> {
 public:
  using MayBeFenced = absl::AnyInvocable<void(std::uint32_t number, Markers markers)>;

  // `may_be_fenced` runs once for each id.
  static void Start(Cluster& cluster, LostMarkers& markers, std::vector<LeftBehindId> ids, MayBeFenced may_be_fenced);

  LeftBehind(Cluster& cluster, LostMarkers& markers, std::vector<LeftBehindId> ids, MayBeFenced may_be_fenced);

 private:
  void FindTopics();
  void Look(const wire::MetadataResponse& metadata);
  void Collect(const std::map<TopicPartition, OpenTransactions>& found);
  void Again(const std::string& why);
  void Release();

  Cluster& cluster_;
  LostMarkers& markers_;
  std::map<std::int64_t, LeftBehindId> ids_;                                       // by producer id
  std::vector<std::uint32_t> others_;                                              // that share one, or have none
  std::map<std::int64_t, std::map<std::int32_t, std::set<TopicPartition>>> open_;  // by producer id and epoch
  std::set<TopicPartition> seen_;
  const absl::Duration until_;  // on the monotonic clock
  MayBeFenced may_be_fenced_;
};

}  // namespace assent::kafka
