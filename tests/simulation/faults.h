#pragma once

#include <cstdint>

#include "absl/time/time.h"

namespace assent::simulation {

// How often what goes wrong, "one in so many"; 0 is never. Each seed draws its own: a run with few kinds of faults
// reaches states that one with all of them never gets to.
struct Faults {
  // Of messages.
  std::uint64_t lost = 0;
  std::uint64_t doubled = 0;
  std::uint64_t slow = 0;
  absl::Duration slowest = absl::ZeroDuration();
  // Of participants.
  std::uint64_t work_fails = 0;       // a statement
  std::uint64_t prepare_refused = 0;  // an error: a no vote
  std::uint64_t backend_stalls = 0;   // stopped, with unread messages
  // Of the decision log.
  std::uint64_t sync_fails = 0;
  std::uint64_t sync_slow = 0;
  std::uint64_t lookup_refused = 0;
  // Of the coordinator: dies between two of its own steps.
  std::uint64_t dies_at_a_step = 0;
  // Of the power: fails for the coordinator and a participant when a decision has just become durable.
  std::uint64_t power_fails = 0;
};

}  // namespace assent::simulation
