#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "participants/kafka/wire/api.h"
#include "participants/kafka/wire/decoder.h"
#include "participants/kafka/wire/encoder.h"

// DescribeProducers: what the leader of a partition knows of those who produce to it, and of their open transactions.
// Source of the fields: the message schemas of Apache Kafka (clients/…/common/message/DescribeProducers*.json,
// KIP-664).
namespace assent::kafka::wire {

struct DescribeProducersResponse {
  struct Producer {
    std::int64_t producer_id = -1;
    std::int32_t epoch = -1;             // of the last batch or marker
    std::int64_t open_from_offset = -1;  // of the first record of its open transaction; -1: none is open
  };
  struct Partition {
    std::int32_t index = -1;
    std::int16_t error_code = 0;
    std::vector<Producer> producers;
  };
  struct Topic {
    std::string name;
    std::vector<Partition> partitions;
  };
  std::vector<Topic> topics;

  static DescribeProducersResponse Decode(Decoder& in);
};

struct DescribeProducersRequest {
  static constexpr ApiKey kKey = ApiKey::kDescribeProducers;
  static constexpr std::int16_t kVersion = 0;
  using Response = DescribeProducersResponse;

  struct Topic {
    std::string name;
    std::vector<std::int32_t> partitions;
  };
  std::vector<Topic> topics;

  std::size_t SizeHint() const { return 64 + 64 * topics.size(); }
  void Encode(Encoder& out) const;
};

}  // namespace assent::kafka::wire
