#pragma once

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "assent/v1/types.pb.h"
#include "cli/admin_client.h"
#include "coordinator/server/config.h"

// What `assent doctor` looks at. Each look changes nothing, and gives what it finds.
namespace assent::cli {

using FindingList = std::vector<v1::Finding>;

v1::Finding MakeFinding(v1::Finding::Severity severity, std::string subject, std::string what, std::string fix);

// Every mistake in a configuration that was refused, which `message` names, one a line.
FindingList MistakesIn(const std::string& message);

// What a configuration warns of.
FindingList WarningsOf(const Config& config);

// The data folder: where it lies, the room there, and, unless the coordinator has it, the health of the log.
FindingList ExamineFolder(const Config& config, bool coordinator_runs);

// The running coordinator: what it has not taken over, what is in doubt for long, what did not follow its decision.
FindingList ExamineCoordinator(AdminClient& client, const v1::ListParticipantsResponse& participants, absl::Time now);

// The participants, from this machine: whether each can be reached within `patience`, and its settings.
FindingList ExamineParticipants(const Config& config, absl::Duration patience);

}  // namespace assent::cli
