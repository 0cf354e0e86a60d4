#pragma once

#include <string>

#include "assent/v1/coordinator.pb.h"

namespace assent {

// SHA-256 over what a request asks for, less what a repeat of it may change (its id, times, and how long to wait): two
// requests under one request_id must have the same. The call's kind is part of it.
std::string HashOfRequest(const v1::BeginRequest& request);
std::string HashOfRequest(const v1::SubmitRequest& request);

}  // namespace assent
