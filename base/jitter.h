#pragma once

#include <random>

#include "absl/time/time.h"

namespace assent {

// A pause between half of `longest` and the whole: what failed together does not come back together.
template <typename Generator>
absl::Duration Jittered(absl::Duration longest, Generator& random) {
  return longest * std::uniform_real_distribution<double>(0.5, 1.0)(random);
}

}  // namespace assent
