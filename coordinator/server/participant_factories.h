#pragma once

#include <vector>

#include "coordinator/engine/engine.h"
#include "coordinator/server/config.h"

namespace assent {

// One factory for each configured participant: the engine makes an instance of it for every shard.
std::vector<ParticipantFactory> ParticipantFactories(const std::vector<ParticipantConfig>& participants);

}  // namespace assent
