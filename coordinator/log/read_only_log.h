#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "coordinator/log/decision_log.h"
#include "coordinator/log/rocksdb_decision_log.h"

namespace assent {

// Opens the log of a coordinator that is down, checks it as OpenDecisionLog() does, and changes nothing in its folder:
// for a plan of what a process would do that opened it for good. The folder is held against every other process
// meanwhile.
//
// FAILED_PRECONDITION where there is none, or a process has it; else as OpenDecisionLog(). Its start() is what that
// process would start from. Questions are answered at once, inside the call; so is RecordTakeOver(), which records
// nothing. Whatever else would write is a CHECK.
absl::StatusOr<std::unique_ptr<DecisionLog>> OpenDecisionLogReadOnly(const DecisionLogOptions& options);

}  // namespace assent
