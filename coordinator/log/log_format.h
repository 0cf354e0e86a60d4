#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "assent/v1/log.pb.h"

// The keys and values of the decision log, byte for byte as docs/log_format.md gives them. Integers are big-endian, so
// that the order of the keys is the order of the numbers.
namespace assent::log_format {

// Raised when a process of before could misread what a process of now writes.
inline constexpr std::uint32_t kVersion = 1;

// The column families, in the order of their ids. RocksDB insists on "default"; nothing is ever written there.
enum Family : std::uint32_t { kDefault, kMeta, kActive, kOutcomes, kRequests, kAudit };
inline constexpr std::array<const char*, 6> kFamilyNames = {"default",  "meta",     "active",
                                                            "outcomes", "requests", "audit"};

// The keys of `meta`.
inline constexpr std::string_view kVersionKey = "format_version";
inline constexpr std::string_view kCoordinatorKey = "coordinator";
inline constexpr std::string_view kIncarnationKey = "incarnation";
inline constexpr std::string_view kEpochKey = "epoch";
inline constexpr std::string_view kReservedKey = "reserved_sequences";
inline constexpr std::string_view kForgottenBeforeKey = "forgotten_before";
inline constexpr std::string_view kRequestsForgottenBeforeKey = "requests_forgotten_before";
inline constexpr std::string_view kGroupKey = "group";
inline constexpr std::string_view kTakenOverPrefix = "taken_over/";  // the participant's name follows

std::string EncodeUint64(std::uint64_t number);
std::optional<std::uint64_t> DecodeUint64(std::string_view bytes);

// The last entry of every group, under kGroupKey: which group it is, and what is counted over all groups.
struct Group {
  std::uint64_t number = 0;         // 1, 2, … without a gap, over all processes
  std::uint64_t uptime_us = 0;      // for how long processes have had this log open, in all
  std::uint64_t outcome_bytes = 0;  // keys and values in `outcomes` and `requests`

  friend bool operator==(const Group&, const Group&) = default;
};

// What the value of a group ends with, and so what its bytes in the write-ahead log end with: a batch that does not was
// cut short. No byte of it is zero.
inline constexpr std::string_view kGroupTrailer = "\xa5group\xa5.";

std::string EncodeGroup(const Group& group);
std::optional<Group> DecodeGroup(std::string_view value);

// A record of `outcomes`.
struct Outcome {
  std::uint64_t decided_at_uptime_us = 0;  // on the count of Group::uptime_us
  v1::DecisionRecord decision;             // its branches without their tokens
};

std::string EncodeOutcome(std::uint64_t decided_at_uptime_us, const v1::DecisionRecord& decision);
std::optional<Outcome> DecodeOutcome(std::string_view value);

// "sequence found_at_us branch": a second finding about one branch stands beside the first.
std::string AuditKey(std::uint64_t sequence, const v1::HeuristicRecord& record);

}  // namespace assent::log_format
