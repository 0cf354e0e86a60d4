#pragma once

#include <cstdint>

#include "absl/time/time.h"

namespace assent::simulation {

// Where every choice of a run comes from: the same numbers for the same seed, on every machine and with every compiler
// (std's distributions promise nothing of the kind). Source: G. Steele, D. Lea, C. Flood, "Fast Splittable
// Pseudorandom Number Generators" (2014), SplitMix64.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t Next() {
    state_ += 0x9e3779b97f4a7c15;
    std::uint64_t mixed = state_;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
    return mixed ^ (mixed >> 31);
  }

  // 0 … bound - 1. The bias of the remainder is of no interest here.
  std::uint64_t Below(std::uint64_t bound) { return Next() % bound; }
  std::uint64_t Between(std::uint64_t least, std::uint64_t most) { return least + Below(most - least + 1); }

  // True once in `many` times; never for 0.
  bool OneIn(std::uint64_t many) { return many != 0 && Below(many) == 0; }

  absl::Duration Between(absl::Duration least, absl::Duration most) {
    return least + absl::Nanoseconds(static_cast<std::int64_t>(
                       Below(static_cast<std::uint64_t>(absl::ToInt64Nanoseconds(most - least)) + 1)));
  }

 private:
  std::uint64_t state_;
};

}  // namespace assent::simulation
