#include "coordinator/log/decision_log.h"

#include <algorithm>

#include "base/mutant.h"

namespace assent {

std::uint32_t LogStart::LastTakeOverOf(const std::string& participant) const {
  if (ASSENT_MUTANT(taken_over_by_refused_starts)) return epoch - 1;
  if (const auto found = taken_over.find(participant); found != taken_over.end()) return found->second;
  if (taken_over.empty()) return 0;
  const auto last = std::max_element(taken_over.begin(), taken_over.end(),
                                     [](const auto& a, const auto& b) { return a.second < b.second; });
  return last->second;
}

}  // namespace assent
