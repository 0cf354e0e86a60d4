#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "coordinator/log/decision_log.h"
#include "coordinator/log/log_database.h"

namespace assent {

// What a decision log's database says, in the log's own terms. Its calls may wait for the disk; DATA_LOSS where an
// entry cannot be read. The database outlives it. Thread-safe.
class LogReader {
 public:
  using Found = std::optional<LoggedOutcome>;

  explicit LogReader(const LogDatabase& database) : database_(database) {}

  absl::StatusOr<Found> FindTransaction(const TxnId& txn) const;
  absl::StatusOr<Found> FindRequest(const std::string& request_id) const;
  absl::StatusOr<AuditPage> ReadAudit(const std::string& after, std::size_t limit) const;

  // What the next process to open the log starts from; `coordinator` is that of the folder.
  absl::StatusOr<LogStart> ReadStart(const CoordinatorId& coordinator) const;
  // A number of `meta`; 0 where it was never written.
  absl::StatusOr<std::uint64_t> ReadNumber(std::string_view meta_key) const;

 private:
  absl::StatusOr<Found> Find(std::uint64_t sequence) const;
  absl::StatusOr<Found> FindInAudit(const TxnId& txn) const;
  absl::StatusOr<Found> WithHeuristics(LoggedOutcome found, const std::string& sequence_key) const;
  absl::StatusOr<std::vector<v1::DecisionRecord>> ReadUnfinished() const;
  absl::Status ReadTakenOver(LogStart& start) const;

  const LogDatabase& database_;
};

}  // namespace assent
