#pragma once
// Placeholder until the adapters' headers are in the tree.
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "participants/participant.h"
#include "participants/participant_context.h"
namespace assent {
namespace postgres {
struct PostgresOptions {
  std::string name;
  std::string conninfo;
  int max_connections = 16;
};
absl::StatusOr<std::unique_ptr<Participant>> MakePostgresParticipant(PostgresOptions options,
                                                                     const ParticipantContext& context);
}  // namespace postgres
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
