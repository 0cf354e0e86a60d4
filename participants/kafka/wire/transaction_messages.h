#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "participants/kafka/wire/api.h"
#include "participants/kafka/wire/decoder.h"
#include "participants/kafka/wire/encoder.h"

// The messages that begin, end and show transactions.
// Source of the fields: the message schemas of Apache Kafka (clients/…/common/message/*.json).
namespace assent::kafka::wire {

// ---- InitProducerId: a new epoch for a transactional id. Aborts its open transaction and fences whoever used it.

struct InitProducerIdResponse {
  std::int16_t error_code = 0;
  std::int64_t producer_id = -1;
  std::int16_t epoch = -1;

  static InitProducerIdResponse Decode(Decoder& in);
};

struct InitProducerIdRequest {
  static constexpr ApiKey kKey = ApiKey::kInitProducerId;
  static constexpr std::int16_t kVersion = 4;
  using Response = InitProducerIdResponse;

  std::string transactional_id;
  std::int32_t transaction_timeout_ms = 0;

  std::size_t SizeHint() const { return 64; }
  void Encode(Encoder& out) const;
};

// ---- AddPartitionsToTxn: opens a transaction, or makes it larger. Transactions V1 alone need it ----

struct AddPartitionsToTxnResponse {
  std::int16_t error_code = 0;  // of the first partition that was refused for a reason of its own
  std::string topic;            // of that partition
  std::int32_t partition = -1;

  static AddPartitionsToTxnResponse Decode(Decoder& in);
};

struct AddPartitionsToTxnRequest {
  static constexpr ApiKey kKey = ApiKey::kAddPartitionsToTxn;
  static constexpr std::int16_t kVersion = 3;  // the last that is not for brokers alone
  using Response = AddPartitionsToTxnResponse;

  struct Topic {
    std::string name;
    std::vector<std::int32_t> partitions;
  };
  std::string transactional_id;
  std::int64_t producer_id = -1;
  std::int16_t epoch = -1;
  std::vector<Topic> topics;

  std::size_t SizeHint() const { return 64 + 64 * topics.size(); }
  void Encode(Encoder& out) const;
};

// ---- EndTxn: commits or aborts ----

struct EndTxnResponse {
  std::int16_t error_code = 0;
  std::int64_t producer_id = -1;  // with the epoch, of the id's next transaction: V2 tells it
  std::int16_t epoch = -1;

  static EndTxnResponse Decode(Decoder& in, std::int16_t version);
};

struct EndTxnRequest {
  static constexpr ApiKey kKey = ApiKey::kEndTxn;
  static constexpr std::int16_t kV1 = 3;
  static constexpr std::int16_t kV2 = 5;  // ends a transaction of V2, and begins the id's next epoch
  using Response = EndTxnResponse;

  std::int16_t version = kV2;
  std::string transactional_id;
  std::int64_t producer_id = -1;
  std::int16_t epoch = -1;
  bool commit = false;

  std::size_t SizeHint() const { return 64; }
  void Encode(Encoder& out) const;
};

// ---- DescribeTransactions: what a coordinator knows of one transactional id

struct DescribeTransactionsResponse {
  std::int16_t error_code = 0;
  std::string transactional_id;
  struct Topic {
    std::string name;
    std::vector<std::int32_t> partitions;
  };
  std::string state;  // "Ongoing", "CompleteCommit", …
  std::int64_t producer_id = -1;
  std::int16_t epoch = -1;
  std::vector<Topic> topics;  // of an open transaction, and while it is being ended those without a marker

  static DescribeTransactionsResponse Decode(Decoder& in);
};

struct DescribeTransactionsRequest {
  static constexpr ApiKey kKey = ApiKey::kDescribeTransactions;
  static constexpr std::int16_t kVersion = 0;
  using Response = DescribeTransactionsResponse;

  std::string transactional_id;

  std::size_t SizeHint() const { return 64; }
  void Encode(Encoder& out) const;
};

// ---- ListTransactions: every transactional id that one broker coordinates, in any state

struct ListTransactionsResponse {
  struct Transaction {
    std::string transactional_id;
    std::int64_t producer_id = -1;
    std::string state;
  };
  std::int16_t error_code = 0;
  std::vector<Transaction> transactions;

  static ListTransactionsResponse Decode(Decoder& in);
};

struct ListTransactionsRequest {
  static constexpr ApiKey kKey = ApiKey::kListTransactions;
  static constexpr std::int16_t kVersion = 0;
  using Response = ListTransactionsResponse;

  std::size_t SizeHint() const { return 16; }
  void Encode(Encoder& out) const;
};

}  // namespace assent::kafka::wire
