#include "cli/exit_code.h"

#include "absl/strings/cord.h"

namespace assent::cli {
namespace {

constexpr char kUnreachableMark[] = "assent/unreachable";

}  // namespace

absl::Status UnreachableError(std::string_view message) {
  absl::Status status = absl::UnavailableError(absl::string_view(message.data(), message.size()));
  status.SetPayload(kUnreachableMark, absl::Cord("1"));
  return status;
}

ExitCode ExitCodeOf(const absl::Status& status) {
  if (status.GetPayload(kUnreachableMark)) return kUnreachable;
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return kDone;
    case absl::StatusCode::kInvalidArgument:
      return kUsage;
    case absl::StatusCode::kNotFound:
      return kNotFound;
    case absl::StatusCode::kFailedPrecondition:
      return kRefused;
    default:
      return kFailed;
  }
}

}  // namespace assent::cli
