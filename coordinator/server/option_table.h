#pragma once

#include <span>

#include "coordinator/server/config.h"
#include "coordinator/server/option.h"

namespace assent {

// Every option of assentd, a section each. The reader, the error messages, --print-default-config and
// docs/configuration.md are made from these tables and from nothing else.
std::span<const Option<Config>> TopLevelOptions();
std::span<const Option<Config>> TransactionsOptions();                            // [transactions]
std::span<const Option<Config>> LogOptions();                                     // [log]
std::span<const Option<Config>> TlsOptions();                                     // [tls]
std::span<const Option<postgres::PostgresOptions>> PostgresParticipantOptions();  // [[participant]] type = "postgres"
std::span<const Option<kafka::KafkaOptions>> KafkaParticipantOptions();           // [[participant]] type = "kafka"

}  // namespace assent
