#include "tests/simulation/network.h"

namespace assent::simulation {

Network::Machine Network::AddMachine(std::string name) {
  names_.push_back(std::move(name));
  return static_cast<Machine>(names_.size() - 1);
}

void Network::Send(Machine from, Machine to, Message arrive, Copies copies) {
  if (random_.OneIn(faults_.lost)) return trace_.Note("lost: ", names_[from], " to ", names_[to]);
  if (copies == Copies::kMayBeMore && random_.OneIn(faults_.doubled)) {
    trace_.Note("doubled: ", names_[from], " to ", names_[to]);
    Carry(from, to, arrive);
  }
  Carry(from, to, std::move(arrive));
}

void Network::Carry(Machine from, Machine to, Message arrive) {
  if (IsCut(from, to)) return;
  ++in_flight_;
  queue_.After(Delay(), [this, from, to, arrive = std::move(arrive)] {
    --in_flight_;
    if (!IsCut(from, to)) arrive();
  });
}

absl::Duration Network::Delay() {
  if (!random_.OneIn(faults_.slow)) return random_.Between(absl::Microseconds(50), absl::Milliseconds(2));
  // Each order of magnitude as often as the next.
  const std::uint64_t halvings = random_.Below(12);
  return random_.Between(absl::ZeroDuration(), faults_.slowest / (1 << halvings));
}

void Network::Cut(Machine a, Machine b) {
  if (cut_.insert(std::minmax(a, b)).second) trace_.Note("cut: ", names_[a], " and ", names_[b]);
}

void Network::Mend(Machine a, Machine b) {
  if (cut_.erase(std::minmax(a, b)) > 0) trace_.Note("mended: ", names_[a], " and ", names_[b]);
}

}  // namespace assent::simulation
