#pragma once

#include <cstdint>

#include "assent/v1/coordinator.pb.h"

namespace assent {

// How many operations a request asks for; each run of an SQL statement counts as one. What few bytes can ask for in
// millions is bounded by it (transactions.max_operations) before anything is made for each.
std::uint64_t OperationsIn(const v1::Operation& operation);
std::uint64_t OperationsIn(const v1::SubmitRequest& request);

}  // namespace assent
