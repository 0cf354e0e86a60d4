#pragma once

#include "absl/time/time.h"
#include "assent/v1/admin.pb.h"
#include "cli/tool.h"

// The tables that several commands show.
namespace assent::cli {

void PrintTransactions(const Tool& tool, const v1::ListTransactionsResponse& listed, absl::Time now);

// With a line for each finding, and for each thing that is left alone.
void PrintParticipants(const Tool& tool, const v1::ListParticipantsResponse& listed, absl::Time now);

}  // namespace assent::cli
