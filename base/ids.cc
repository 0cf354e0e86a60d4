#include "base/ids.h"

#include <algorithm>
#include <charconv>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace assent {
namespace {

constexpr std::string_view kGidPrefix = "assent-";

bool IsLowerOrDigit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

bool IsBranchCharacter(char c) { return IsLowerOrDigit(c) || (c >= 'A' && c <= 'Z') || c == '_' || c == '-'; }

// Takes the text up to the next '-' off the front; all of it where there is none.
std::string_view TakeField(std::string_view& text) {
  const std::size_t end = std::min(text.find('-'), text.size());
  std::string_view field = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return field;
}

// Only the form that ToString() writes: no sign, no leading zero, nothing behind the digits.
template <typename Integer>
bool ParseNumber(std::string_view text, Integer& number) {
  if (text.empty() || (text.size() > 1 && text[0] == '0')) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

bool ParseIncarnation(std::string_view text, std::uint64_t& incarnation) {
  if (text.size() != 16) return false;
  if (!std::all_of(text.begin(), text.end(), [](char c) { return IsLowerOrDigit(c) && c <= 'f'; })) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), incarnation, 16);
  return error == std::errc() && end == text.data() + text.size();
}

bool TakeCoordinator(std::string_view& text, CoordinatorId& id) {
  const std::string_view name = TakeField(text);
  if (!IsCoordinatorName(name)) return false;
  id.name = std::string(name);
  return ParseIncarnation(TakeField(text), id.incarnation);
}

bool TakeTxnId(std::string_view& text, TxnId& id) {
  return TakeCoordinator(text, id.coordinator) && ParseNumber(TakeField(text), id.epoch) &&
         ParseNumber(TakeField(text), id.shard) && ParseNumber(TakeField(text), id.sequence);
}

}  // namespace

bool IsCoordinatorName(std::string_view name) {
  return !name.empty() && name.size() <= 32 && std::all_of(name.begin(), name.end(), IsLowerOrDigit);
}

std::string CoordinatorId::ToString() const { return absl::StrFormat("%s-%016x", name, incarnation); }

std::string TxnId::ToString() const {
  return absl::StrCat(coordinator.ToString(), "-", epoch, "-", shard, "-", sequence);
}

std::optional<TxnId> ParseTxnId(std::string_view text) {
  TxnId id;
  // The round trip refuses what only looks alike, such as a '-' behind the last field.
  const std::string_view whole = text;
  if (!TakeTxnId(text, id) || id.ToString() != whole) return std::nullopt;
  return id;
}

bool IsBranchName(std::string_view name) {
  return !name.empty() && name.size() <= 63 && std::all_of(name.begin(), name.end(), IsBranchCharacter);
}

std::string BranchId::ToGid() const { return absl::StrCat(std::string(kGidPrefix), txn.ToString(), "-", name); }

std::optional<BranchId> ParseGid(std::string_view gid) {
  if (!gid.starts_with(kGidPrefix)) return std::nullopt;
  const std::string_view whole = gid;
  gid.remove_prefix(kGidPrefix.size());
  BranchId id;
  if (!TakeTxnId(gid, id.txn) || !IsBranchName(gid)) return std::nullopt;
  id.name = std::string(gid);
  if (id.ToGid() != whole) return std::nullopt;
  return id;
}

std::string TransactionalId::ToString() const {
  return absl::StrCat(std::string(kGidPrefix), coordinator.ToString(), "-", number);
}

std::optional<TransactionalId> ParseTransactionalId(std::string_view text) {
  if (!text.starts_with(kGidPrefix)) return std::nullopt;
  const std::string_view whole = text;
  text.remove_prefix(kGidPrefix.size());
  TransactionalId id;
  if (!TakeCoordinator(text, id.coordinator) || !ParseNumber(TakeField(text), id.number)) return std::nullopt;
  if (id.ToString() != whole) return std::nullopt;
  return id;
}

}  // namespace assent
