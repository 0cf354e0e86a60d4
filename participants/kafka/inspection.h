#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "assent/v1/types.pb.h"
#include "participants/kafka/cluster.h"
#include "participants/kafka/kafka_options.h"
#include "participants/participant.h"

namespace assent::kafka {

// What a broker's settings are called, and say; those that it does not tell are not in it.
using BrokerSettings = std::map<std::string, std::string>;

// What a broker's settings endanger, each with what to change. Their subject is left empty. The settings of a topic may
// differ from the broker's, which are the defaults.
std::vector<v1::Finding> FindingsOf(std::int32_t broker, const BrokerSettings& settings, const KafkaOptions& options);

// Asks every broker that is up for its settings. UNAVAILABLE where none is. The cluster outlives it, or drops it.
void Inspect(Cluster& cluster, Participant::InspectDone done);

}  // namespace assent::kafka
