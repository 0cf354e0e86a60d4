#include "participants/kafka/wire/cluster_messages.h"

namespace assent::kafka::wire {
namespace {

constexpr std::uint64_t kFinalizedFeaturesTag = 2;
constexpr std::int8_t kTransactionKeyType = 1;
constexpr std::int8_t kBrokerResourceType = 4;
constexpr char kZeroUuid[17] = {};

void DecodeFinalizedFeatures(Decoder& in, ApiVersionsResponse& response) {
  for (std::size_t n = in.CompactArrayLength(6); n > 0 && in.ok(); --n) {
    ApiVersionsResponse::Feature& feature = response.finalized.emplace_back();
    feature.name = in.CompactString();
    feature.level = in.Int16();
    in.Int16();  // the lowest level
    in.SkipTaggedFields();
  }
}

MetadataResponse::Broker DecodeBroker(Decoder& in) {
  MetadataResponse::Broker broker;
  broker.id = in.Int32();
  broker.host = in.CompactString();
  broker.port = in.Int32();
  in.CompactNullableString();  // rack
  in.SkipTaggedFields();
  return broker;
}

MetadataResponse::Partition DecodePartition(Decoder& in) {
  MetadataResponse::Partition partition;
  partition.error_code = in.Int16();
  partition.index = in.Int32();
  partition.leader = in.Int32();
  in.Int32();                  // leader epoch
  in.SkipCompactInt32Array();  // replicas
  in.SkipCompactInt32Array();  // in-sync replicas
  in.SkipCompactInt32Array();  // offline replicas
  in.SkipTaggedFields();
  return partition;
}

MetadataResponse::Topic DecodeTopic(Decoder& in) {
  MetadataResponse::Topic topic;
  topic.error_code = in.Int16();
  topic.name = in.CompactNullableString().value_or("");
  in.Raw(16);  // topic id
  topic.is_internal = in.Bool();
  for (std::size_t n = in.CompactArrayLength(18); n > 0 && in.ok(); --n) {
    topic.partitions.push_back(DecodePartition(in));
  }
  in.Int32();  // authorized operations
  in.SkipTaggedFields();
  return topic;
}

}  // namespace

void ApiVersionsRequest::Encode(Encoder& out) const {
  out.CompactString(software_name);
  out.CompactString(software_version);
  out.NoTaggedFields();
}

ApiVersionsResponse ApiVersionsResponse::Decode(Decoder& in) {
  ApiVersionsResponse response;
  response.error_code = in.Int16();
  // A broker that does not know version 3 answers UNSUPPORTED_VERSION in the form of version 0.
  if (response.error_code != 0) {
    in.Raw(in.remaining());
    return response;
  }
  for (std::size_t n = in.CompactArrayLength(7); n > 0 && in.ok(); --n) {
    Range& range = response.apis.emplace_back();
    range.key = in.Int16();
    range.least = in.Int16();
    range.most = in.Int16();
    in.SkipTaggedFields();
  }
  in.Int32();  // throttle time
  in.TaggedFields([&](std::uint64_t tag, Decoder& field) {
    if (tag == kFinalizedFeaturesTag) DecodeFinalizedFeatures(field, response);
  });
  return response;
}

void MetadataRequest::Encode(Encoder& out) const {
  if (all_topics) {
    out.NullCompactArray();
  } else {
    out.CompactArrayLength(topics.size());
  }
  for (const std::string& topic : topics) {
    out.Raw({kZeroUuid, 16});
    out.CompactString(topic);
    out.NoTaggedFields();
  }
  out.Bool(false);  // auto-creation
  out.Bool(false);  // authorized operations
  out.NoTaggedFields();
}

MetadataResponse MetadataResponse::Decode(Decoder& in) {
  MetadataResponse response;
  in.Int32();  // throttle time
  for (std::size_t n = in.CompactArrayLength(11); n > 0 && in.ok(); --n) response.brokers.push_back(DecodeBroker(in));
  response.cluster_id = in.CompactNullableString().value_or("");
  in.Int32();  // controller
  for (std::size_t n = in.CompactArrayLength(26); n > 0 && in.ok(); --n) response.topics.push_back(DecodeTopic(in));
  in.SkipTaggedFields();
  return response;
}

void FindCoordinatorRequest::Encode(Encoder& out) const {
  out.Int8(kTransactionKeyType);
  out.CompactArrayLength(1);
  out.CompactString(transactional_id);
  out.NoTaggedFields();
}

FindCoordinatorResponse FindCoordinatorResponse::Decode(Decoder& in) {
  FindCoordinatorResponse response;
  in.Int32();  // throttle time
  if (in.CompactArrayLength(14) != 1) in.Fail();
  response.key = in.CompactString();
  response.node = in.Int32();
  response.host = in.CompactString();
  response.port = in.Int32();
  response.error_code = in.Int16();
  response.error_message = in.CompactNullableString().value_or("");
  in.SkipTaggedFields();
  in.SkipTaggedFields();
  return response;
}

void DescribeConfigsRequest::Encode(Encoder& out) const {
  out.CompactArrayLength(1);
  out.Int8(kBrokerResourceType);
  out.CompactString(std::to_string(broker));
  out.CompactArrayLength(1);
  out.CompactString(setting);
  out.NoTaggedFields();
  out.Bool(false);  // synonyms
  out.Bool(false);  // documentation
  out.NoTaggedFields();
}

DescribeConfigsResponse DescribeConfigsResponse::Decode(Decoder& in) {
  DescribeConfigsResponse response;
  in.Int32();  // throttle time
  if (in.CompactArrayLength(7) != 1) in.Fail();
  response.error_code = in.Int16();
  in.CompactNullableString();  // error message
  in.Int8();                   // resource type
  in.CompactString();          // resource name
  for (std::size_t n = in.CompactArrayLength(9); n > 0 && in.ok(); --n) {
    in.CompactString();  // name
    response.value = in.CompactNullableString();
    in.Bool();  // read-only
    in.Int8();  // source
    in.Bool();  // sensitive
    for (std::size_t synonyms = in.CompactArrayLength(4); synonyms > 0 && in.ok(); --synonyms) {
      in.CompactString();
      in.CompactNullableString();
      in.Int8();
      in.SkipTaggedFields();
    }
    in.Int8();                   // type
    in.CompactNullableString();  // documentation
    in.SkipTaggedFields();
  }
  in.SkipTaggedFields();
  in.SkipTaggedFields();
  return response;
}

}  // namespace assent::kafka::wire
