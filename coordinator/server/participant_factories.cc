#include "coordinator/server/participant_factories.h"

#include "participants/kafka/kafka_participant.h"
#include "participants/postgres/postgres_participant.h"

namespace assent {
namespace {

ParticipantFactory FactoryOf(const postgres::PostgresOptions& options) {
  return [options](const ParticipantContext& context) { return postgres::MakePostgresParticipant(options, context); };
}

ParticipantFactory FactoryOf(const kafka::KafkaOptions& options) {
  return [options](const ParticipantContext& context) { return kafka::MakeKafkaParticipant(options, context); };
}

}  // namespace

std::vector<ParticipantFactory> ParticipantFactories(const std::vector<ParticipantConfig>& participants) {
  std::vector<ParticipantFactory> factories;
  factories.reserve(participants.size());
  for (const ParticipantConfig& participant : participants) {
    factories.push_back(std::visit([](const auto& options) { return FactoryOf(options); }, participant));
  }
  return factories;
}

}  // namespace assent
