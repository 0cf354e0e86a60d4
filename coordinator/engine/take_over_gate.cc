#include "coordinator/engine/take_over_gate.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace assent {
namespace {

constexpr std::size_t kMostNamed = 5;  // of a participant: a data folder that was lost may have left thousands

std::string SomeOf(std::vector<std::string> names) {
  const std::size_t more = names.size() - std::min(names.size(), kMostNamed);
  names.resize(names.size() - more);
  return absl::StrCat(absl::StrJoin(names, ", "), more > 0 ? absl::StrCat(" and ", more, " more") : "");
}

}  // namespace

TakeOverGate::TakeOverGate(DecisionLog& log, const std::vector<std::string>& participants, TellShards tell_shards)
    : log_(log), tell_shards_(std::move(tell_shards)) {
  for (const std::string& participant : participants) answers_[participant];
}

void TakeOverGate::Hear(const std::string& participant, const absl::StatusOr<Shard::FirstLook>& look) {
  answers_[participant] = look;
  if (is_open_) Act(participant, look);
}

bool TakeOverGate::HasHeardAll() const {
  return std::all_of(answers_.begin(), answers_.end(),
                     [](const auto& answer) { return answer.second && answer.second->ok(); });
}

absl::Status TakeOverGate::Open() {
  std::vector<std::string> foreign;
  for (const auto& [participant, answer] : answers_) {
    if (!answer || !answer->ok()) continue;
    if (absl::Status own = CheckIsOneOfItsOwn(participant, **answer); !own.ok()) return own;
    const std::vector<std::string>& names = (*answer)->foreign;
    if (!names.empty()) foreign.push_back(absl::StrCat(SomeOf(names), " at \"", participant, "\""));
  }
  if (!foreign.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "another decision log works, or worked, under the name of this coordinator, \"", log_.start().coordinator.name,
        "\": ", absl::StrJoin(foreign, ", "),
        ". If two coordinators run, give one another name. If this data folder is an old copy, its transactions cannot "
        "be "
        "judged from it: bring the right folder back. If it is new, the same, or start with --adopt, which leaves them "
        "alone for you to resolve"));
  }
  is_open_ = true;
  for (const auto& [participant, answer] : answers_) {
    // So that a start to come does not take one that is away now for one that had another name when it was taken over.
    log_.RecordTakeOver(participant, log_.start().LastTakeOverOf(participant), [] {});
    if (answer) Act(participant, *answer);
  }
  for (const auto& [participant, epoch] : log_.start().taken_over) {
    // What has no name any more may be one of the others, where this process works, and may get its old name back.
    if (!answers_.contains(participant)) log_.RecordTakeOver(participant, log_.start().epoch, [] {});
  }
  return absl::OkStatus();
}

absl::Status TakeOverGate::CheckIsOneOfItsOwn(const std::string& participant, const Shard::FirstLook& look) const {
  if (look.identity.empty()) return absl::OkStatus();
  for (const auto& [other, answer] : answers_) {
    if (other == participant || !answer || !answer->ok() || (*answer)->identity != look.identity) continue;
    return absl::FailedPreconditionError(
        absl::StrCat("participants \"", participant, "\" and \"", other, "\" are both ", look.identity,
                     ": each would take what the other has prepared for its own. Name it once in the configuration"));
  }
  return absl::OkStatus();
}

void TakeOverGate::Act(const std::string& participant, const absl::StatusOr<Shard::FirstLook>& look) {
  const absl::Status usable = look.ok() ? CheckIsOneOfItsOwn(participant, *look) : look.status();
  if (!usable.ok()) {
    return tell_shards_(
        [participant, why = std::string(usable.message())](Shard& shard) { shard.NoteSilence(participant, why); });
  }
  if (!look->foreign.empty()) {
    return tell_shards_([participant, names = look->foreign](Shard& shard) { shard.NoteForeign(participant, names); });
  }
  log_.RecordTakeOver(participant, log_.start().epoch, [tell_shards = tell_shards_, participant] {
    tell_shards([participant](Shard& shard) { shard.TakeOver(participant); });
  });
}

}  // namespace assent
