#pragma once

#include <cstddef>

namespace assent {

// What this thread has allocated since this was made, in all: also what is free again. A bound on it bounds the memory
// that an input can take, and the work that goes into filling it. Needs AddressSanitizer.
class Allocations {
 public:
  Allocations();
  std::size_t bytes() const;

 private:
  std::size_t before_;
};

}  // namespace assent
