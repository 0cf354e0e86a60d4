#include "participants/kafka/wire/offset_messages.h"

namespace assent::kafka::wire {
namespace {

// What an element takes at least, so that no count makes anybody reserve more than was sent. A topic is answered with
// the partitions that were asked for.
constexpr std::size_t kLeastPartitionBytes = 27;
constexpr std::size_t kLeastTopicBytes = 4 + kLeastPartitionBytes;

constexpr std::int32_t kNoReplica = -1;  // but a client
constexpr std::int32_t kAnyLeaderEpoch = -1;
constexpr std::int64_t kLatest = -1;  // instead of a time

ListOffsetsResponse::Partition DecodePartition(Decoder& in) {
  ListOffsetsResponse::Partition partition;
  partition.index = in.Int32();
  partition.error_code = in.Int16();
  in.Int64();  // time of the record
  partition.offset = in.Int64();
  in.Int32();  // leader epoch
  in.SkipTaggedFields();
  return partition;
}

}  // namespace

void ListOffsetsRequest::Encode(Encoder& out) const {
  out.Int32(kNoReplica);
  out.Int8(read_committed ? 1 : 0);
  out.CompactArrayLength(topics.size());
  for (const Topic& topic : topics) {
    out.CompactString(topic.name);
    out.CompactArrayLength(topic.partitions.size());
    for (const std::int32_t partition : topic.partitions) {
      out.Int32(partition);
      out.Int32(kAnyLeaderEpoch);
      out.Int64(kLatest);
      out.NoTaggedFields();
    }
    out.NoTaggedFields();
  }
  out.NoTaggedFields();
}

ListOffsetsResponse ListOffsetsResponse::Decode(Decoder& in) {
  ListOffsetsResponse response;
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
