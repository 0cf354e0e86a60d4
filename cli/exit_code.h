#pragma once

#include "absl/status/status.h"

namespace assent::cli {

// How the tool ended, for programs that run it. Documented in docs/operations.md; never renumbered.
enum ExitCode : int {
  kDone = 0,
  kFound = 1,        // the check found something that somebody has to look at, or work is left to do
  kUsage = 2,        // the command line
  kUnreachable = 3,  // no coordinator answers at the address
  kNotFound = 4,     // no such transaction, branch or participant
  kRefused = 5,      // it must not be done: it contradicts a decision, or the data folder is in use
  kFailed = 6,       // it was not done, or it is not known whether it was
};

// The status of a call that never reached a coordinator.
absl::Status UnreachableError(std::string_view message);

ExitCode ExitCodeOf(const absl::Status& status);

}  // namespace assent::cli
