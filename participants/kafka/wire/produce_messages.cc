#include "participants/kafka/wire/produce_messages.h"

namespace assent::kafka::wire {
namespace {

constexpr std::int16_t kAllInSyncReplicas = -1;

// Of Kafka's own. Every partition of an answer gets a copy of its topic: with longer names a small answer would take
// memory by the square of its size.
constexpr std::size_t kMostTopicBytes = 249;

void DecodePartition(Decoder& in, const std::string& topic, ProduceResponse& response) {
  ProduceResponse::Partition& partition = response.partitions.emplace_back();
  partition.topic = topic;
  partition.index = in.Int32();
  partition.error_code = in.Int16();
  in.Int64();  // base offset
  in.Int64();  // log append time
  in.Int64();  // log start offset
  for (std::size_t n = in.CompactArrayLength(6); n > 0 && in.ok(); --n) {
    in.Int32();  // index in the batch
    const std::string message = in.CompactNullableString().value_or("");
    if (partition.error_message.empty()) partition.error_message = message;
    in.SkipTaggedFields();
  }
  if (const auto message = in.CompactNullableString(); message && !message->empty()) partition.error_message = *message;
  in.SkipTaggedFields();
}

}  // namespace

std::size_t ProduceRequest::SizeHint() const {
  std::size_t bytes = 64 + transactional_id.size();
  for (const Partition& partition : partitions) bytes += 32 + partition.topic.size() + partition.batch.size();
  return bytes;
}

void ProduceRequest::Encode(Encoder& out) const {
  out.CompactString(transactional_id);
  out.Int16(kAllInSyncReplicas);
  out.Int32(timeout_ms);
  std::size_t topics = 0;
  for (std::size_t i = 0; i < partitions.size(); ++i) {
    if (i == 0 || partitions[i].topic != partitions[i - 1].topic) ++topics;
  }
  out.CompactArrayLength(topics);
  for (std::size_t i = 0; i < partitions.size();) {
    std::size_t end = i;
    while (end < partitions.size() && partitions[end].topic == partitions[i].topic) ++end;
    out.CompactString(partitions[i].topic);
    out.CompactArrayLength(end - i);
    for (; i < end; ++i) {
      out.Int32(partitions[i].index);
      out.UnsignedVarint(partitions[i].batch.size() + 1);
      out.Raw(partitions[i].batch);
      out.NoTaggedFields();
    }
    out.NoTaggedFields();
  }
  out.NoTaggedFields();
}

ProduceResponse ProduceResponse::Decode(Decoder& in) {
  ProduceResponse response;
  for (std::size_t topics = in.CompactArrayLength(3); topics > 0 && in.ok(); --topics) {
    const std::string topic = in.CompactString();
    if (topic.size() > kMostTopicBytes) in.Fail();
    for (std::size_t n = in.CompactArrayLength(33); n > 0 && in.ok(); --n) DecodePartition(in, topic, response);
    in.SkipTaggedFields();
  }
  in.Int32();  // throttle time
  in.SkipTaggedFields();
  return response;
}

}  // namespace assent::kafka::wire
