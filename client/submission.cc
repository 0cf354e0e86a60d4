#include "assent/submission.h"

#include <algorithm>

namespace assent {
inline namespace client {

Submission& Submission::DoWork(const std::string& branch, Work work) {
  auto found =
      std::find_if(branches_.begin(), branches_.end(), [&](const auto& known) { return known.name == branch; });
  if (found == branches_.end()) {
    branches_.push_back({branch, branch, {}, {}});
    found = std::prev(branches_.end());
  }
  found->operations.push_back(std::move(work));
  return *this;
}

}  // namespace client
}  // namespace assent
