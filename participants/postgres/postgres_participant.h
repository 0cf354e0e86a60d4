#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "participants/participant.h"
#include "participants/participant_context.h"

namespace assent::postgres {

// One PostgreSQL database as a participant. Every bound is for the process; those marked (split) are divided over its
// shards.
struct PostgresOptions {
  std::string name;      // what callers enlist it by
  std::string conninfo;  // libpq's, straight to the primary: no transaction pooler in between

  // Connections (split). Each shard keeps one of its share for finishing prepared branches, so that branches that hold
  // all others cannot keep those from ending; so a shard needs two.
  std::uint32_t max_connections = 16;
  // Branches that wait for a connection (split). More are RESOURCE_EXHAUSTED at once; those that wait, at their
  // transaction's deadline.
  std::uint32_t max_waiting_branches = 10'000;
  std::uint32_t max_queued_operations = 10'000;   // of one branch, not yet sent
  std::uint32_t max_prepared_statements = 100;    // kept on each connection; the least used one goes
  std::uint32_t max_unanswered_finishes = 1'000;  // COMMIT PREPARED and its like in flight on one connection

  std::uint64_t max_result_bytes = 4ull << 20;      // of one operation's reply
  std::uint64_t max_parameter_bytes = 16ull << 20;  // of one parameter
  std::uint64_t max_statement_bytes = 1ull << 20;   // of one statement's text

  absl::Duration connect_timeout = absl::Seconds(5);              // of one attempt
  absl::Duration first_reconnect_delay = absl::Milliseconds(20);  // after a failed attempt; doubles
  absl::Duration last_reconnect_delay = absl::Milliseconds(250);  // up to this
  // From the last statement's answer to that of PREPARE TRANSACTION; afterwards the vote is unknown.
  absl::Duration prepare_timeout = absl::Seconds(10);
  // While as many branches are prepared as max_prepared_transactions allows, a branch waits this long to prepare.
  absl::Duration prepare_slot_timeout = absl::Seconds(1);
  absl::Duration finish_timeout = absl::Seconds(10);        // of one COMMIT PREPARED or ROLLBACK PREPARED
  absl::Duration abort_patience = absl::Milliseconds(100);  // for what runs; then its backend is terminated
};

// Makes the instance of one shard; the connections are opened by Start(). INVALID_ARGUMENT for options that cannot
// work. Host names are resolved by libpq, which blocks: an address or a Unix socket does not.
absl::StatusOr<std::unique_ptr<Participant>> MakePostgresParticipant(const PostgresOptions& options,
                                                                     const ParticipantContext& context);

}  // namespace assent::postgres
