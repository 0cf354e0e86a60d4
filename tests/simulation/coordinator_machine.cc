#include "tests/simulation/coordinator_machine.h"

namespace assent::simulation {

Said OutcomeIn(const absl::Status& status) {
  v1::TransactionFailure failure;
  if (const auto payload = status.GetPayload(kFailureUrl)) failure.ParseFromString(std::string(*payload));
  return {failure.txn_id(), failure.outcome()};
}

Said OutcomeIn(const v1::TransactionDescription& description) { return {description.txn_id(), description.outcome()}; }

}  // namespace assent::simulation
