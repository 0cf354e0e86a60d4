#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "assent/v1/tool.pb.h"
#include "coordinator/engine/engine.h"
#include "coordinator/log/rocksdb_decision_log.h"

namespace assent::cli {

// A coordinator that is down, as its configuration describes it.
struct DownCoordinator {
  DecisionLogOptions log;
  EngineOptions engine;  // one shard is enough
  std::vector<ParticipantFactory> participants;
  absl::Duration patience = absl::Seconds(30);  // for participants to answer, and then without any progress
};

// Says what a start of the coordinator would do to every branch in doubt, by starting its engine on a log that is only
// read, with participants that are not touched. FAILED_PRECONDITION where the coordinator runs, or a participant holds
// work of another decision log; else as OpenDecisionLog().
absl::StatusOr<v1::RecoveryPlan> PlanRecovery(const DownCoordinator& coordinator);

// Does it: a start of the coordinator without its network, which ends when nothing is left to do, or nothing comes of
// it for coordinator.patience. It may be killed at any time, and done again: what had ended has ended. `left` is told
// how many branches are left whenever that changes.
struct RecoveryResult {
  std::int64_t left = 0;                 // branches and ids that have not ended
  std::vector<std::string> unreachable;  // participants that have not said what they hold, each with the reason
};
absl::StatusOr<RecoveryResult> ApplyRecovery(const DownCoordinator& coordinator,
                                             const std::function<void(std::int64_t left)>& left);

}  // namespace assent::cli
