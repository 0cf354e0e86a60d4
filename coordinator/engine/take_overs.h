#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "base/ids.h"
#include "participants/participant.h"

namespace assent {

// Which participants a shard has taken over, and why it has not the others: before one has said what it holds under the
// coordinator's name, nothing is done there.
//
//   silent --it holds nothing foreign--> taken over --foreign work appears--> taken over, foreign
//     |                                      ^  ^                                       |
//     +--it holds foreign work--> foreign ---+  +--------- it is gone ------------------+
//
// Decided work is finished wherever the participant is taken over; new branches go only where nothing is foreign.
//
// Owned by a shard, used on its thread.
class TakeOvers {
 public:
  explicit TakeOvers(CoordinatorId coordinator) : coordinator_(std::move(coordinator)) {}

  bool Has(const Participant* participant) const { return taken_over_.contains(participant); }

  // The participant holds nothing foreign. False: it was taken over before.
  bool Add(const Participant* participant);

  // Why it does not say what it holds.
  void NoteSilence(const Participant* participant, std::string why);

  // What it holds that is not ours to judge; nothing: no longer anything. True where something has just appeared.
  bool NoteForeign(const Participant* participant, const std::vector<std::string>& foreign);

  // Whether a new branch may go there: UNAVAILABLE or FAILED_PRECONDITION with what to do.
  absl::Status CheckNewBranch(const Participant* participant) const;

  // In words, for work that waits for a participant to be taken over.
  std::string WhyNot(const Participant* participant) const;

 private:
  const CoordinatorId coordinator_;
  absl::flat_hash_set<const Participant*> taken_over_;
  absl::flat_hash_map<const Participant*, std::string> silent_;   // why, as far as it is known
  absl::flat_hash_map<const Participant*, std::string> foreign_;  // the first of what it holds
};

}  // namespace assent
