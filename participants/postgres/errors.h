#pragma once

#include <libpq-fe.h>

#include <string>
#include <string_view>

#include "participants/participant.h"

namespace assent::postgres {

// The status that callers see for a SQLSTATE, by its class where the code itself says nothing more.
absl::StatusCode CodeOfSqlstate(std::string_view sqlstate);

// Whether a new attempt of the same transaction may succeed: serialization failures, deadlocks, lost connections, and
// a server that is short of something.
bool IsRetryable(std::string_view sqlstate);

// The server's refusal in its own words: message, detail, hint, and what the caller needs to find the place.
BranchError ErrorOf(const PGresult* result);

// The server's SQLSTATE of a failed result; empty where the failure is libpq's own.
std::string_view SqlstateOf(const PGresult* result);

// True where the server ended the connection with this error.
bool IsFatal(const PGresult* result);

// libpq's messages have several lines, some of them indented; ours have one.
std::string OneLine(std::string_view message);

BranchError Unavailable(std::string message);

}  // namespace assent::postgres
