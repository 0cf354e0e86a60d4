#include "coordinator/log/log_format.h"

namespace assent::log_format {

std::string EncodeUint64(std::uint64_t number) {
  std::string bytes(8, '\0');
  for (int i = 7; i >= 0; --i, number >>= 8) bytes[i] = static_cast<char>(number & 0xff);
  return bytes;
}

std::optional<std::uint64_t> DecodeUint64(std::string_view bytes) {
  if (bytes.size() != 8) return std::nullopt;
  std::uint64_t number = 0;
  for (const char byte : bytes) number = number << 8 | static_cast<unsigned char>(byte);
  return number;
}

std::string EncodeGroup(const Group& group) {
  std::string value = EncodeUint64(group.number);
  value += EncodeUint64(group.uptime_us);
  value += EncodeUint64(group.outcome_bytes);
  value += kGroupTrailer;
  return value;
}

std::optional<Group> DecodeGroup(std::string_view value) {
  if (value.size() != 24 + kGroupTrailer.size() || !value.ends_with(kGroupTrailer)) return std::nullopt;
  return Group{.number = *DecodeUint64(value.substr(0, 8)),
               .uptime_us = *DecodeUint64(value.substr(8, 8)),
               .outcome_bytes = *DecodeUint64(value.substr(16, 8))};
}

std::string EncodeOutcome(std::uint64_t decided_at_uptime_us, const v1::DecisionRecord& decision) {
  std::string value = EncodeUint64(decided_at_uptime_us);
  if (decision.branches().empty()) {
    decision.AppendToString(&value);
    return value;
  }
  v1::DecisionRecord kept = decision;
  for (v1::BranchRecord& branch : *kept.mutable_branches()) branch.clear_token();
  kept.AppendToString(&value);
  return value;
}

std::optional<Outcome> DecodeOutcome(std::string_view value) {
  if (value.size() < 8) return std::nullopt;
  Outcome outcome{.decided_at_uptime_us = *DecodeUint64(value.substr(0, 8)), .decision = {}};
  const std::string_view record = value.substr(8);
  if (!outcome.decision.ParseFromArray(record.data(), static_cast<int>(record.size()))) return std::nullopt;
  return outcome;
}

std::string AuditKey(std::uint64_t sequence, const v1::HeuristicRecord& record) {
  return EncodeUint64(sequence) + EncodeUint64(static_cast<std::uint64_t>(record.found_at_us())) + record.branch();
}

}  // namespace assent::log_format
