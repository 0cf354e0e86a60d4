#pragma once

#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/cord.h"
#include "assent/v1/types.pb.h"
#include "coordinator/engine/engine.h"

namespace assent {

// A caller's answer, given exactly once. One that is dropped unanswered, because the coordinator stops, says so: the
// caller learns that the outcome is unknown, and never waits for ever.
template <typename Response>
class Answer {
 public:
  explicit Answer(Reply<Response> reply) : reply_(std::move(reply)) {}
  Answer(Answer&& other) noexcept : reply_(std::exchange(other.reply_, nullptr)) {}
  Answer& operator=(Answer&&) = delete;
  ~Answer() {
    if (reply_) reply_(absl::UnavailableError("the coordinator is stopping; ask again, or repeat the call"));
  }

  void operator()(absl::StatusOr<Response> response) { std::exchange(reply_, nullptr)(std::move(response)); }

 private:
  Reply<Response> reply_;
};

// A status that tells the caller, in its details, what is known about the transaction.
inline absl::Status WithFailure(absl::StatusCode code, const v1::TransactionFailure& failure) {
  absl::Status status(code, failure.reason());
  status.SetPayload(kFailureUrl, absl::Cord(failure.SerializeAsString()));
  return status;
}

// Of a Submit that was refused before anything was done. A status that says more already is left as it is.
inline absl::Status NothingDone(const absl::Status& refused, bool retryable = false) {
  if (refused.GetPayload(kFailureUrl)) return refused;
  v1::TransactionFailure failure;
  failure.set_outcome(v1::REFUSED);
  failure.set_reason(std::string(refused.message()));
  failure.set_retryable(retryable || absl::IsUnavailable(refused));
  return WithFailure(refused.code(), failure);
}

}  // namespace assent
