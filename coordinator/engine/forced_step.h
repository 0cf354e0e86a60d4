#pragma once

#include <string>

#include "absl/time/time.h"
#include "assent/v1/log.pb.h"
#include "participants/participant.h"

// The two records of a forced step: an operator's, against the decision or without one. The first is durable before the
// participant is called.
namespace assent {

void LogForced(const v1::HeuristicRecord& step);

// "forced to commit by alice"
std::string ForcedText(const v1::HeuristicRecord& step);

// What came of it, as its second record.
v1::HeuristicRecord ForcedResult(const v1::HeuristicRecord& step, const Finish& finish, absl::Time now);

}  // namespace assent
