#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "participants/kafka/wire/api.h"
#include "participants/kafka/wire/decoder.h"
#include "participants/kafka/wire/encoder.h"

// The messages that tell what a cluster is made of. Fields that nobody here uses are written with their defaults and
// skipped when read. Source of the fields: the message schemas of Apache Kafka (clients/…/common/message/*.json).
namespace assent::kafka::wire {

// ---- ApiVersions: which calls, in which versions, and which features of the cluster are switched on

struct ApiVersionsResponse {
  struct Range {
    std::int16_t key = 0;
    std::int16_t least = 0;
    std::int16_t most = 0;
  };
  struct Feature {
    std::string name;
    std::int16_t level = 0;
  };
  std::int16_t error_code = 0;
  std::vector<Range> apis;
  std::vector<Feature> finalized;  // with the highest level that every broker has switched on

  static ApiVersionsResponse Decode(Decoder& in);
};

struct ApiVersionsRequest {
  static constexpr ApiKey kKey = ApiKey::kApiVersions;
  static constexpr std::int16_t kVersion = 3;
  using Response = ApiVersionsResponse;

  std::string software_name;
  std::string software_version;

  std::size_t SizeHint() const { return 64; }
  void Encode(Encoder& out) const;
};

// ---- Metadata: brokers, topics, who leads which partition

struct MetadataResponse {
  struct Broker {
    std::int32_t id = 0;
    std::string host;
    std::int32_t port = 0;
  };
  struct Partition {
    std::int16_t error_code = 0;
    std::int32_t index = 0;
    std::int32_t leader = -1;  // -1: none now
  };
  struct Topic {
    std::int16_t error_code = 0;
    std::string name;
    bool is_internal = false;  // Kafka's own, such as __transaction_state
    std::vector<Partition> partitions;
  };
  std::vector<Broker> brokers;
  std::string cluster_id;
  std::vector<Topic> topics;

  static MetadataResponse Decode(Decoder& in);
};

struct MetadataRequest {
  static constexpr ApiKey kKey = ApiKey::kMetadata;
  static constexpr std::int16_t kVersion = 12;
  using Response = MetadataResponse;

  std::vector<std::string> topics;  // none: only the brokers. Topics are never created by asking.
  bool all_topics = false;          // that this client may see; `topics` is empty then

  std::size_t SizeHint() const { return 64 * topics.size(); }
  void Encode(Encoder& out) const;
};

// ---- FindCoordinator: which broker keeps the state of a transactional id

struct FindCoordinatorResponse {
  std::string key;
  std::int32_t node = -1;
  std::string host;
  std::int32_t port = 0;
  std::int16_t error_code = 0;
  std::string error_message;

  static FindCoordinatorResponse Decode(Decoder& in);
};

struct FindCoordinatorRequest {
  static constexpr ApiKey kKey = ApiKey::kFindCoordinator;
  static constexpr std::int16_t kVersion = 4;
  using Response = FindCoordinatorResponse;

  std::string transactional_id;

  std::size_t SizeHint() const { return 64; }
  void Encode(Encoder& out) const;
};

// ---- DescribeConfigs: one setting of a broker

struct DescribeConfigsResponse {
  std::int16_t error_code = 0;
  std::optional<std::string> value;  // of the setting; nothing where the broker did not say

  static DescribeConfigsResponse Decode(Decoder& in);
};

struct DescribeConfigsRequest {
  static constexpr ApiKey kKey = ApiKey::kDescribeConfigs;
  static constexpr std::int16_t kVersion = 4;
  using Response = DescribeConfigsResponse;

  std::int32_t broker = 0;
  std::string setting;

  std::size_t SizeHint() const { return 64; }
  void Encode(Encoder& out) const;
};

}  // namespace assent::kafka::wire
