#pragma once
// Placeholder until the adapters' headers are in the tree.
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "participants/kafka/kafka_options.h"
#include "participants/participant.h"
#include "participants/participant_context.h"
#include "participants/postgres/postgres_participant.h"
namespace assent {
namespace kafka {
absl::StatusOr<std::unique_ptr<Participant>> MakeKafkaParticipant(KafkaOptions options,
                                                                  const ParticipantContext& context);
}  // namespace kafka
}  // namespace assent
