#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "assent/v1/admin.pb.h"
#include "assent/v1/types.pb.h"

// The API's values as people read and write them.
namespace assent::cli {

// "committing"; and back. Those that a running transaction can be in come first.
std::string NameOf(v1::TransactionState state);
std::optional<v1::TransactionState> ParseState(std::string_view name);
std::vector<std::string> StateNames();

std::string NameOf(v1::Outcome outcome);  // "committed", "never existed"

absl::Time ToTime(const google::protobuf::Timestamp& proto);

// With two units: "850ms", "12s", "3m 12s", "2h 05m", "3d 04h".
std::string AgeText(absl::Duration age);
// "2026-11-21 20:55:11.250 +0000", in the zone of the machine.
std::string TimeText(absl::Time time);
// The same, and how long ago.
std::string TimeAndAge(const google::protobuf::Timestamp& proto, absl::Time now);

// What will happen to a branch, or what it takes.
std::string NextOf(const v1::TransactionDescription& transaction, const v1::BranchDescription& branch, absl::Time now);

// Why a participant of this kind ("database", "broker") holds something that is left alone, and what ends it: goes on
// from "it is".
std::string WhyLeftAlone(std::string_view kind);

// Of the audit trail: a step that an operator forced; and a branch that ended other than decided, by force or not.
bool IsForced(const v1::AuditEntry& entry);
bool IsHeuristic(const v1::AuditEntry& entry);

// The branch of a running transaction that has waited longest, and has not ended; null: none waits.
const v1::BranchDescription* LongestWaiting(const v1::TransactionDescription& transaction);

}  // namespace assent::cli
