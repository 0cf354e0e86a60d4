#include "cli/words.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "coordinator/protocol/transition.h"

namespace assent::cli {
namespace {

using protocol::BranchPhase;

constexpr std::array<std::pair<v1::TransactionState, std::string_view>, 8> kStates = {{
    {v1::STATE_ACTIVE, "active"},
    {v1::STATE_PREPARING, "preparing"},
    {v1::STATE_DECIDING, "deciding"},
    {v1::STATE_COMMITTING, "committing"},
    {v1::STATE_ABORTING, "aborting"},
    {v1::STATE_COMMITTED, "committed"},
    {v1::STATE_ABORTED, "aborted"},
    {v1::STATE_FORGOTTEN, "forgotten"},
}};

std::optional<BranchPhase> ParsePhase(std::string_view name) {
  for (auto phase = BranchPhase::kOpen; phase <= BranchPhase::kHeuristic;
       phase = static_cast<BranchPhase>(static_cast<int>(phase) + 1)) {
    if (protocol::Name(phase) == name) return phase;
  }
  return std::nullopt;
}

std::string AtTheDeadline(const v1::TransactionDescription& transaction, absl::Time now) {
  if (!transaction.has_deadline()) return "";
  const absl::Duration left = ToTime(transaction.deadline()) - now;
  if (left <= absl::ZeroDuration()) return "; its deadline has passed, and it is being aborted";
  return absl::StrCat("; aborted at the deadline, in ", AgeText(left));
}

// Of a branch that is being told how it ends.
std::string NextTelling(const v1::BranchDescription& branch, std::string_view verb, absl::Time now) {
  if (branch.has_next_attempt()) {
    const absl::Duration left = std::max(ToTime(branch.next_attempt()) - now, absl::ZeroDuration());
    return absl::StrCat(std::string(verb), " is tried again in ", AgeText(left), " (attempt ", branch.attempts() + 1,
                        "), and at once when the participant returns");
  }
  if (branch.attempts() == 0) return absl::StrCat(std::string(verb), ", as soon as its participant can be asked");
  return absl::StrCat(std::string(verb), " is under way (attempt ", branch.attempts(), ")");
}

}  // namespace

std::string NameOf(v1::TransactionState state) {
  for (const auto& [known, name] : kStates) {
    if (known == state) return std::string(name);
  }
  return absl::StrCat("state ", static_cast<int>(state));
}

std::optional<v1::TransactionState> ParseState(std::string_view name) {
  for (const auto& [state, known] : kStates) {
    if (known == name) return state;
  }
  return std::nullopt;
}

std::vector<std::string> StateNames() {
  std::vector<std::string> names;
  names.reserve(kStates.size());
  for (const auto& [state, name] : kStates) names.emplace_back(name);
  return names;
}

std::string NameOf(v1::Outcome outcome) {
  switch (outcome) {
    case v1::UNDECIDED:
      return "undecided";
    case v1::COMMITTED:
      return "committed";
    case v1::ABORTED:
      return "aborted";
    case v1::FORGOTTEN:
      return "forgotten";
    case v1::NEVER_EXISTED:
      return "never existed";
    case v1::REFUSED:
      return "refused";
    default:
      return "unknown";
  }
}

absl::Time ToTime(const google::protobuf::Timestamp& proto) {
  return absl::FromUnixSeconds(proto.seconds()) + absl::Nanoseconds(proto.nanos());
}

std::string AgeText(absl::Duration age) {
  if (age < absl::ZeroDuration()) return "0s";
  if (age < absl::Seconds(1)) return absl::StrCat(absl::ToInt64Milliseconds(age), "ms");
  const std::int64_t seconds = absl::ToInt64Seconds(age);
  if (seconds < 60) return absl::StrCat(seconds, "s");
  if (seconds < 3600) return absl::StrFormat("%dm %02ds", seconds / 60, seconds % 60);
  if (seconds < 86'400) return absl::StrFormat("%dh %02dm", seconds / 3600, seconds / 60 % 60);
  return absl::StrFormat("%dd %02dh", seconds / 86'400, seconds / 3600 % 24);
}

std::string TimeText(absl::Time time) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%E3S %z", time, absl::LocalTimeZone());
}

std::string TimeAndAge(const google::protobuf::Timestamp& proto, absl::Time now) {
  const absl::Time time = ToTime(proto);
  return time > now ? absl::StrCat(TimeText(time), ", in ", AgeText(time - now))
                    : absl::StrCat(TimeText(time), ", ", AgeText(now - time), " ago");
}

std::string NextOf(const v1::TransactionDescription& transaction, const v1::BranchDescription& branch, absl::Time now) {
  const std::optional<BranchPhase> phase = ParsePhase(branch.state());
  if (!phase) return "unknown: this coordinator is newer than the tool";
  switch (*phase) {
    case BranchPhase::kOpen:
      return absl::StrCat("work, Commit or Abort by its caller", AtTheDeadline(transaction, now));
    case BranchPhase::kHeld:
      return absl::StrCat("its vote is asked for when every SQL branch has returned from its work",
                          AtTheDeadline(transaction, now));
    case BranchPhase::kPreparing:
      return absl::StrCat("its vote", AtTheDeadline(transaction, now));
    case BranchPhase::kPrepared:
      if (transaction.state() == v1::STATE_DECIDING) return "commit, as soon as the decision is durable";
      return absl::StrCat("the other branches' votes, and the decision", AtTheDeadline(transaction, now));
    case BranchPhase::kInDoubt:
      return "rollback: its vote never came, and the transaction is aborted";
    case BranchPhase::kCommitting:
      return NextTelling(branch, "commit", now);
    case BranchPhase::kAborting:
      return NextTelling(branch, "rollback", now);
    case BranchPhase::kCommitted:
    case BranchPhase::kAborted:
    case BranchPhase::kReadOnly:
      return "nothing: it has ended";
    case BranchPhase::kHeuristic:
      return "nothing by itself: it did not follow the decision, or nobody knows; compare the stores, and put them "
             "right by hand";
  }
  return "";
}

std::string WhyLeftAlone(std::string_view kind) {
  // A broker holds no branches that anybody could list, but transactional ids.
  if (kind == "broker") {
    return "of another decision log, and while a transaction is open under it, it hides the records behind it; Kafka's "
           "own kafka-transactions.sh ends it, and can only abort";
  }
  return "of another decision log, or its outcome is forgotten; assent resolve --force ends it";
}

bool IsForced(const v1::AuditEntry& entry) { return entry.forced() != v1::OUTCOME_UNSPECIFIED; }

bool IsHeuristic(const v1::AuditEntry& entry) { return !IsForced(entry) || entry.done(); }

const v1::BranchDescription* LongestWaiting(const v1::TransactionDescription& transaction) {
  const v1::BranchDescription* longest = nullptr;
  for (const v1::BranchDescription& branch : transaction.branches()) {
    if (!branch.has_since()) continue;
    if (longest == nullptr || ToTime(branch.since()) < ToTime(longest->since())) longest = &branch;
  }
  return longest;
}

}  // namespace assent::cli
