#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "coordinator/engine/engine.h"
#include "coordinator/log/rocksdb_decision_log.h"
#include "coordinator/server/tls_files.h"
#include "participants/kafka/kafka_options.h"
#include "participants/postgres/postgres_participant.h"

namespace assent {

// One [[participant]]: the options of its adapter, which carry its name.
using ParticipantConfig = std::variant<postgres::PostgresOptions, kafka::KafkaOptions>;

const std::string& NameOf(const ParticipantConfig& participant);

// How many shards its bounds can be split over.
std::uint32_t MostShards(const ParticipantConfig& participant);

// All that assentd is told. The fields' initial values are the options' defaults.
struct Config {
  std::string coordinator;
  std::string data_dir = "/var/lib/assent";
  std::vector<std::string> listen = {"127.0.0.1:7411"};
  std::uint32_t shards = 0;  // 0: half of the machine's cores, at least 1, and what participants bear
  bool insecure = false;
  std::uint32_t max_calls = 200'000;
  std::string log_level = "info";
  absl::Duration start_patience = absl::Seconds(5);
  absl::Duration stop_patience = absl::Seconds(5);
  EngineOptions engine;
  DecisionLogOptions log;
  TlsFiles tls;
  std::vector<ParticipantConfig> participants;
  std::vector<std::string> warnings;  // what is allowed and not wise

  // The engine's options with the number of shards worked out for a machine of so many cores.
  EngineOptions EngineOptionsFor(std::uint32_t cores) const;
  // The log's, with its folder and its coordinator.
  DecisionLogOptions LogOptions() const;
};

// What the command line says about the configuration. It wins over the file.
struct ConfigFlags {
  std::vector<std::string> listen;  // empty: as in the file
  std::optional<std::string> data_dir;
  std::optional<std::string> log_level;
  bool adopt = false;
};

// Reads a configuration. `file_name` is for messages. INVALID_ARGUMENT names every mistake, one a line, each with file,
// line and column, what was found and what was expected.
absl::StatusOr<Config> ParseConfig(std::string_view toml, std::string_view file_name, const ConfigFlags& flags);

// The same for a file; NOT_FOUND where it cannot be read.
absl::StatusOr<Config> ReadConfigFile(const std::string& path, const ConfigFlags& flags);

}  // namespace assent
