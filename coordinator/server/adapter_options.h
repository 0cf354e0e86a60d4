#pragma once
// Placeholder until the adapters' headers are in the tree.
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "participants/participant.h"
#include "participants/participant_context.h"
#include "participants/postgres/postgres_participant.h"
namespace assent {
namespace kafka {
struct KafkaOptions {
  std::string name;
  std::vector<std::string> bootstrap_servers;
  int max_transactional_ids = 256;
};
absl::StatusOr<std::unique_ptr<Participant>> MakeKafkaParticipant(KafkaOptions options,
                                                                  const ParticipantContext& context);
}  // namespace kafka
}  // namespace assent
