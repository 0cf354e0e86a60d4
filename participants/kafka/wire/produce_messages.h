#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "participants/kafka/wire/api.h"
#include "participants/kafka/wire/decoder.h"
#include "participants/kafka/wire/encoder.h"

// Produce. Under transactions V2 it also adds its partitions to the transaction, which opens it.
// Source of the fields: the message schemas of Apache Kafka (clients/…/common/message/Produce*.json).
namespace assent::kafka::wire {

struct ProduceResponse {
  struct Partition {
    std::string topic;
    std::int32_t index = 0;
    std::int16_t error_code = 0;
    std::string error_message;
  };
  std::vector<Partition> partitions;

  static ProduceResponse Decode(Decoder& in);
};

struct ProduceRequest {
  static constexpr ApiKey kKey = ApiKey::kProduce;
  static constexpr std::int16_t kV1 = 9;  // its fields are those of the later ones
  static constexpr std::int16_t kV2 = 12;
  using Response = ProduceResponse;

  struct Partition {
    std::string topic;
    std::int32_t index = 0;
    std::string_view batch;  // one record batch: a broker takes no more of one partition in one request
  };

  std::int16_t version = kV2;
  std::string transactional_id;
  std::int32_t timeout_ms = 0;        // that the leader waits for its replicas
  std::vector<Partition> partitions;  // those of one topic stand together

  std::size_t SizeHint() const;
  void Encode(Encoder& out) const;
};

}  // namespace assent::kafka::wire
