#include "coordinator/engine/work_size.h"

#include <algorithm>

namespace assent {

std::uint64_t OperationsIn(const v1::Operation& operation) {
  std::uint64_t runs = 0;
  for (const v1::SqlStatement& statement : operation.sql().statements()) {
    runs += std::max<std::uint64_t>(1, statement.parameter_sets_size());
  }
  return std::max<std::uint64_t>(1, runs);
}

std::uint64_t OperationsIn(const v1::SubmitRequest& request) {
  std::uint64_t operations = 0;
  for (const v1::SubmitBranch& branch : request.branches()) {
    for (const v1::Operation& operation : branch.operations()) operations += OperationsIn(operation);
  }
  return operations;
}

}  // namespace assent
