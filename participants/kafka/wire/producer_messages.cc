#include "participants/kafka/wire/producer_messages.h"

namespace assent::kafka::wire {
namespace {

// What an element takes at least, so that no count makes anybody reserve more than was sent. A topic is answered with
// the partitions that were asked for.
constexpr std::size_t kLeastProducerBytes = 37;
constexpr std::size_t kLeastPartitionBytes = 9;
constexpr std::size_t kLeastTopicBytes = 4 + kLeastPartitionBytes;

DescribeProducersResponse::Producer DecodeProducer(Decoder& in) {
  DescribeProducersResponse::Producer producer;
  producer.producer_id = in.Int64();
  producer.epoch = in.Int32();
  in.Int32();  // last sequence
  in.Int64();  // last timestamp
  in.Int32();  // epoch of the transaction coordinator
  producer.open_from_offset = in.Int64();
  in.SkipTaggedFields();
  return producer;
}

DescribeProducersResponse::Partition DecodePartition(Decoder& in) {
  DescribeProducersResponse::Partition partition;
  partition.index = in.Int32();
  partition.error_code = in.Int16();
  in.CompactNullableString();  // error message
  for (std::size_t n = in.CompactArrayLength(kLeastProducerBytes); n > 0 && in.ok(); --n) {
    partition.producers.push_back(DecodeProducer(in));
  }
  in.SkipTaggedFields();
  return partition;
}

}  // namespace

void DescribeProducersRequest::Encode(Encoder& out) const {
  out.CompactArrayLength(topics.size());
  for (const Topic& topic : topics) {
    out.CompactString(topic.name);
    out.CompactArrayLength(topic.partitions.size());
    for (const std::int32_t partition : topic.partitions) out.Int32(partition);
    out.NoTaggedFields();
  }
  out.NoTaggedFields();
}

DescribeProducersResponse DescribeProducersResponse::Decode(Decoder& in) {
  DescribeProducersResponse response;
  in.Int32();  // throttle time
  for (std::size_t topics = in.CompactArrayLength(kLeastTopicBytes); topics > 0 && in.ok(); --topics) {
    Topic& topic = response.topics.emplace_back();
    topic.name = in.CompactString();
    for (std::size_t n = in.CompactArrayLength(kLeastPartitionBytes); n > 0 && in.ok(); --n) {
      topic.partitions.push_back(DecodePartition(in));
    }
    in.SkipTaggedFields();
  }
  in.SkipTaggedFields();
  return response;
}

}  // namespace assent::kafka::wire
