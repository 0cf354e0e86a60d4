#pragma once

#include <libpq-fe.h>

#include <string>

#include "absl/status/status.h"

namespace assent::postgres {

// INVALID_ARGUMENT for what libpq does not understand; the message does not repeat it, since passwords stand there.
absl::Status CheckConninfo(const std::string& conninfo);

// Starts a non-blocking connection with what the adapter relies on: UTF-8, ISO dates, bytea as hex, durable commits
// and a primary. What the conninfo says itself about the last two, and about keepalives, counts.
PGconn* StartConnecting(const std::string& conninfo, const std::string& application_name);

}  // namespace assent::postgres
