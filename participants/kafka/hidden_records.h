#pragma once

#include <cstddef>
#include <set>

#include "absl/time/time.h"
#include "participants/kafka/cluster.h"
#include "participants/kafka/open_transactions.h"
#include "participants/participant.h"

namespace assent::kafka {

// Partitions that one measurement looks at; there may be more, whose leaders are spared.
inline constexpr std::size_t kMostPartitionsMeasured = 1000;
// How long an operator who has asked for it waits, whatever leaders do.
inline constexpr absl::Duration kMeasuringTakes = absl::Seconds(2);

// Finds the partition in which the most records stand between the last stable offset and the high watermark: those of
// open transactions, the records behind the first of them, and markers among these. The cluster outlives it, or drops
// it.
void MeasureHidden(Cluster& cluster, const std::set<TopicPartition>& partitions, Participant::HiddenDone done);

}  // namespace assent::kafka
