#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace assent {

// Who a coordinator is. Stands in every id that it makes anywhere, so that it can tell its own work from that of
// others.
struct CoordinatorId {
  std::string name;               // [a-z0-9]{1,32}, from the configuration
  std::uint64_t incarnation = 0;  // random, made with the decision log: another log is another coordinator

  friend bool operator==(const CoordinatorId&, const CoordinatorId&) = default;

  // "orders-5f0cab12d3e4f567": the name and 16 lower-case hex digits.
  std::string ToString() const;
};

// True for [a-z0-9]{1,32}.
bool IsCoordinatorName(std::string_view name);

// Names one transaction for ever.
struct TxnId {
  CoordinatorId coordinator;
  std::uint32_t epoch = 0;     // counts the starts of this coordinator, from 1
  std::uint32_t shard = 0;     // that ran it, of the shards of that epoch
  std::uint64_t sequence = 0;  // counts the transactions of this coordinator over all epochs, from 1

  friend bool operator==(const TxnId&, const TxnId&) = default;

  template <typename H>
  friend H AbslHashValue(H hash, const TxnId& id) {
    return H::combine(std::move(hash), id.coordinator.incarnation, id.sequence);
  }

  // "orders-5f0cab12d3e4f567-3-0-1042"
  std::string ToString() const;
};

// The inverse of TxnId::ToString(); nothing for any other text.
std::optional<TxnId> ParseTxnId(std::string_view text);

// True for [A-Za-z0-9_-]{1,63}.
bool IsBranchName(std::string_view name);

// Names one branch for ever: the key under which every participant call is idempotent.
struct BranchId {
  TxnId txn;
  std::string name;

  friend bool operator==(const BranchId&, const BranchId&) = default;

  template <typename H>
  friend H AbslHashValue(H hash, const BranchId& id) {
    return H::combine(std::move(hash), id.txn, id.name);
  }

  // "assent-orders-5f0cab12d3e4f567-3-0-1042-stock": the gid of a prepared transaction, at most 199 bytes.
  std::string ToGid() const;
};

// The inverse of BranchId::ToGid(); nothing for any other text.
std::optional<BranchId> ParseGid(std::string_view gid);

// A transactional id of the pool: "assent-orders-5f0cab12d3e4f567-17".
struct TransactionalId {
  CoordinatorId coordinator;
  std::uint32_t number = 0;

  friend bool operator==(const TransactionalId&, const TransactionalId&) = default;

  std::string ToString() const;
};

// The inverse of TransactionalId::ToString(); nothing for any other text.
std::optional<TransactionalId> ParseTransactionalId(std::string_view text);

}  // namespace assent
