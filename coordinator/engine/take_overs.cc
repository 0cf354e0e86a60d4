#include "coordinator/engine/take_overs.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace assent {

bool TakeOvers::Add(const Participant* participant) {
  silent_.erase(participant);
  foreign_.erase(participant);
  return taken_over_.insert(participant).second;
}

void TakeOvers::NoteSilence(const Participant* participant, std::string why) {
  if (!Has(participant) && !foreign_.contains(participant)) silent_[participant] = std::move(why);
}

bool TakeOvers::NoteForeign(const Participant* participant, const std::vector<std::string>& foreign) {
  if (foreign.empty()) {
    foreign_.erase(participant);
    return false;
  }
  silent_.erase(participant);
  return foreign_.insert_or_assign(participant, foreign.front()).second;
}

absl::Status TakeOvers::CheckNewBranch(const Participant* participant) const {
  if (foreign_.contains(participant)) return absl::FailedPreconditionError(WhyNot(participant));
  if (!Has(participant)) return absl::UnavailableError(WhyNot(participant));
  return absl::OkStatus();
}

std::string TakeOvers::WhyNot(const Participant* participant) const {
  const std::string name = absl::StrCat("participant \"", std::string(participant->name()), "\"");
  if (const auto found = foreign_.find(participant); found != foreign_.end()) {
    return absl::StrCat(name, " holds ", found->second,
                        ", work of another decision log under the name of coordinator \"", coordinator_.name,
                        "\": give one of the two another name, or end that work and, if it is of ",
                        "another data folder, start with --adopt");
  }
  const auto found = silent_.find(participant);
  const bool is_explained = found != silent_.end() && !found->second.empty();
  return absl::StrCat(name, " has not said since this coordinator started what it holds under its name: ",
                      is_explained ? found->second : participant->health().message);
}

}  // namespace assent
