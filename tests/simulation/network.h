#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/simulation/event_queue.h"
#include "tests/simulation/faults.h"
#include "tests/simulation/random.h"
#include "tests/simulation/trace.h"

namespace assent::simulation {

// Carries messages between machines: late, in another order, twice, or never. A message is what is done where it
// arrives. Owned by the world.
class Network {
 public:
  using Machine = std::uint32_t;
  using Message = std::function<void()>;
  enum class Copies { kOne, kMayBeMore };

  Network(EventQueue& queue, Random& random, Trace& trace, const Faults& faults)
      : queue_(queue), random_(random), trace_(trace), faults_(faults) {}

  Machine AddMachine(std::string name);
  const std::string& NameOf(Machine machine) const { return names_[machine]; }

  void Send(Machine from, Machine to, Message arrive, Copies copies = Copies::kMayBeMore);

  // Between two machines nothing arrives, until it is mended.
  void Cut(Machine a, Machine b);
  void Mend(Machine a, Machine b);
  void MendAll() { cut_.clear(); }

  // Messages under way. Zero some time after the faults have ended: then nothing of theirs is left.
  std::size_t in_flight() const { return in_flight_; }

 private:
  absl::Duration Delay();
  void Carry(Machine from, Machine to, Message arrive);
  bool IsCut(Machine a, Machine b) const { return cut_.contains(std::minmax(a, b)); }

  EventQueue& queue_;
  Random& random_;
  Trace& trace_;
  const Faults& faults_;
  std::vector<std::string> names_;
  std::set<std::pair<Machine, Machine>> cut_;
  std::size_t in_flight_ = 0;
};

}  // namespace assent::simulation
