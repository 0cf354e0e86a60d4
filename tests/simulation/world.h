#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/simulation/broker_server.h"
#include "tests/simulation/client.h"
#include "tests/simulation/coordinator_machine.h"
#include "tests/simulation/database_server.h"
#include "tests/simulation/event_queue.h"
#include "tests/simulation/faults.h"
#include "tests/simulation/judge.h"
#include "tests/simulation/network.h"
#include "tests/simulation/process.h"
#include "tests/simulation/random.h"
#include "tests/simulation/simulated_log.h"
#include "tests/simulation/trace.h"

namespace assent::simulation {

// What came of a run.
struct RunResult {
  std::optional<std::string> violation;
  std::uint64_t trace_hash = 0;
  std::vector<std::string> trace;  // where it was asked for
  std::uint64_t events = 0;
  std::map<std::string, std::uint64_t> reached;  // how often it got where
};

enum class KeepTrace { kNo, kYes };

// Runs one seed: everything that a coordinator deals with, in virtual time. First everything may go wrong; then it
// heals, and must come to rest.
RunResult RunSeed(std::uint64_t seed, KeepTrace keep_trace);

// A check of ours that failed (base/check.h): in a simulated run it is a finding as any other.
struct CheckFailure {
  std::string message;
};

}  // namespace assent::simulation
