#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "participants/kafka/kafka_options.h"
#include "participants/participant.h"
#include "participants/participant_context.h"

namespace assent::kafka {

// A Kafka cluster as a participant. A branch's records are kept until its prepare, which produces them all in a
// transaction of its own; commit and abort are EndTxn by the token alone, from any process.
//
// INVALID_ARGUMENT where the options cannot be meant. It does not connect before Start().
absl::StatusOr<std::unique_ptr<Participant>> MakeKafkaParticipant(const KafkaOptions& options,
                                                                  const ParticipantContext& context);

}  // namespace assent::kafka
