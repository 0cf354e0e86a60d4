#pragma once

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "coordinator/engine/engine.h"
#include "participants/participant.h"

namespace assent::cli {

// How far the participants of an offline recovery are. Filled in on the shard's thread, read by the tool's;
// thread-safe.
class RecoveryProgress {
 public:
  struct Listed {
    bool since_taken_over = false;       // its last answer is from after TakeOver(): the sweep has seen all of it
    std::vector<std::string> left_open;  // see OwnWork
  };

  void Note(const std::string& participant, Listed listed);
  Listed Of(const std::string& participant) const;

 private:
  mutable std::mutex mutex_;
  std::map<std::string, Listed> listed_;
};

// The participant that `factory` makes, which tells `progress` what it holds, and, unless `apply`, is not touched: to
// TakeOver(), Commit() and Abort() it is deaf, so that an engine comes to know what is to be done, and does nothing.
// `progress` outlives it.
ParticipantFactory Recovered(ParticipantFactory factory, RecoveryProgress& progress, bool apply);

}  // namespace assent::cli
