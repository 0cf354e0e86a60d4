#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordinator/engine/shard.h"
#include "coordinator/log/decision_log.h"

namespace assent {

// Nothing is done at a participant before it has said what it holds under the coordinator's name, nor anywhere before
// the start has seen that nothing speaks against it: the gate hears the participants, and tells the shards.
//
//   Hear(…) Hear(…)  --Open(): nothing foreign-->  each participant that is clean is taken over, now or when it is
//   heard
//                    --Open(): foreign work, or one participant under two names
//                                                  -->  the start is refused; nothing was done, and nothing will be
//
// One for each start. Not thread-safe.
class TakeOverGate {
 public:
  // Runs a task at every shard, in the order of the calls.
  using TellShards = std::function<void(std::function<void(Shard&)>)>;

  // `participants` are the names of the configured ones. The log outlives it.
  TakeOverGate(DecisionLog& log, const std::vector<std::string>& participants, TellShards tell_shards);

  // What a participant holds, or why it does not say. Its last answer counts.
  void Hear(const std::string& participant, const absl::StatusOr<Shard::FirstLook>& look);

  // Every participant has said what it holds.
  bool HasHeardAll() const;

  // FAILED_PRECONDITION where one holds foreign work, or two are one. Otherwise the log records who is taken over, and
  // the shards hear of it as soon as that is durable.
  absl::Status Open();

 private:
  using Answer = std::optional<absl::StatusOr<Shard::FirstLook>>;  // nothing: it has not been asked yet

  void Act(const std::string& participant, const absl::StatusOr<Shard::FirstLook>& look);

  // Refuses one that another participant is too: each would take the other's work for its own.
  absl::Status CheckIsOneOfItsOwn(const std::string& participant, const Shard::FirstLook& look) const;

  DecisionLog& log_;
  const TellShards tell_shards_;
  std::map<std::string, Answer> answers_;
  bool is_open_ = false;
};

}  // namespace assent
