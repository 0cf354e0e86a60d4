#include "coordinator/engine/forced_step.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace assent {

void LogForced(const v1::HeuristicRecord& step) {
  spdlog::error("transaction {}: branch \"{}\" at participant \"{}\", decided {}, is {}: {}", step.txn_id(),
                step.branch(), step.participant(), v1::Outcome_Name(step.decided()), ForcedText(step), step.what());
}

std::string ForcedText(const v1::HeuristicRecord& step) {
  const std::string how = step.forced() == v1::COMMITTED ? "commit" : "rollback";
  return absl::StrCat("forced to ", how, " by ", step.forced_by().empty() ? "somebody" : step.forced_by());
}

v1::HeuristicRecord ForcedResult(const v1::HeuristicRecord& step, const Finish& finish, absl::Time now) {
  v1::HeuristicRecord result = step;
  result.set_done(finish.kind == Finish::Kind::kDone);
  // An answer that did not come says neither.
  result.set_what(result.done() ? "done" : "not known to be done: " + finish.message);
  // Under a key of its own, also where the clock stands still or is set back.
  result.set_found_at_us(std::max(absl::ToUnixMicros(now), step.found_at_us() + 1));
  return result;
}

}  // namespace assent
