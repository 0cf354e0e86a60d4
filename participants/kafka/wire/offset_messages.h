#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "participants/kafka/wire/api.h"
#include "participants/kafka/wire/decoder.h"
#include "participants/kafka/wire/encoder.h"

// ListOffsets: how far a partition goes, for readers of one isolation.
// Source of the fields: the message schemas of Apache Kafka (clients/…/common/message/ListOffsets*.json).
namespace assent::kafka::wire {

struct ListOffsetsResponse {
  struct Partition {
    std::int32_t index = -1;
    std::int16_t error_code = 0;
    std::int64_t offset = -1;  // behind the last record that such a reader gets
  };
  struct Topic {
    std::string name;
    std::vector<Partition> partitions;
  };
  std::vector<Topic> topics;

  static ListOffsetsResponse Decode(Decoder& in);
};

struct ListOffsetsRequest {
  static constexpr ApiKey kKey = ApiKey::kListOffsets;
  static constexpr std::int16_t kVersion = 6;
  using Response = ListOffsetsResponse;

  struct Topic {
    std::string name;
    std::vector<std::int32_t> partitions;
  };
  bool read_committed = false;  // up to the last stable offset; else up to the high watermark
  std::vector<Topic> topics;

  std::size_t SizeHint() const { return 64 + 64 * topics.size(); }
  void Encode(Encoder& out) const;
};

}  // namespace assent::kafka::wire
