#include "participants/kafka/wire/transaction_messages.h"

namespace assent::kafka::wire {

void InitProducerIdRequest::Encode(Encoder& out) const {
  out.CompactString(transactional_id);
  out.Int32(transaction_timeout_ms);
  // Which producer id and epoch the caller believes to have: none, so that the coordinator bumps whatever it has.
  out.Int64(-1);
  out.Int16(-1);
  out.NoTaggedFields();
}

InitProducerIdResponse InitProducerIdResponse::Decode(Decoder& in) {
  InitProducerIdResponse response;
  in.Int32();  // throttle time
  response.error_code = in.Int16();
  response.producer_id = in.Int64();
  response.epoch = in.Int16();
  in.SkipTaggedFields();
  return response;
}

void AddPartitionsToTxnRequest::Encode(Encoder& out) const {
  out.CompactString(transactional_id);
  out.Int64(producer_id);
  out.Int16(epoch);
  out.CompactArrayLength(topics.size());
  for (const Topic& topic : topics) {
    out.CompactString(topic.name);
    out.CompactArrayLength(topic.partitions.size());
    for (const std::int32_t partition : topic.partitions) out.Int32(partition);
    out.NoTaggedFields();
  }
  out.NoTaggedFields();
}

AddPartitionsToTxnResponse AddPartitionsToTxnResponse::Decode(Decoder& in) {
  constexpr std::int16_t kOperationNotAttempted = 55;  // because of another partition
  AddPartitionsToTxnResponse response;
  in.Int32();  // throttle time
  for (std::size_t topics = in.CompactArrayLength(3); topics > 0 && in.ok(); --topics) {
    const std::string topic = in.CompactString();
    for (std::size_t n = in.CompactArrayLength(7); n > 0 && in.ok(); --n) {
      const std::int32_t partition = in.Int32();
      const std::int16_t code = in.Int16();
      in.SkipTaggedFields();
      const bool says_more = response.error_code == 0 || response.error_code == kOperationNotAttempted;
      if (code == 0 || !says_more) continue;
      response.error_code = code;
      response.topic = topic;
      response.partition = partition;
    }
    in.SkipTaggedFields();
  }
  in.SkipTaggedFields();
  return response;
}

void EndTxnRequest::Encode(Encoder& out) const {
  out.CompactString(transactional_id);
  out.Int64(producer_id);
  out.Int16(epoch);
  out.Bool(commit);
  out.NoTaggedFields();
}

EndTxnResponse EndTxnResponse::Decode(Decoder& in, std::int16_t version) {
  EndTxnResponse response;
  in.Int32();  // throttle time
  response.error_code = in.Int16();
  if (version >= EndTxnRequest::kV2) {
    response.producer_id = in.Int64();
    response.epoch = in.Int16();
  }
  in.SkipTaggedFields();
  return response;
}

void DescribeTransactionsRequest::Encode(Encoder& out) const {
  out.CompactArrayLength(1);
  out.CompactString(transactional_id);
  out.NoTaggedFields();
}

DescribeTransactionsResponse DescribeTransactionsResponse::Decode(Decoder& in) {
  DescribeTransactionsResponse response;
  in.Int32();  // throttle time
  if (in.CompactArrayLength(30) != 1) in.Fail();
  response.error_code = in.Int16();
  response.transactional_id = in.CompactString();
  response.state = in.CompactString();
  in.Int32();  // timeout
  in.Int64();  // start time
  response.producer_id = in.Int64();
  response.epoch = in.Int16();
  constexpr std::size_t kLeastTopicBytes = 8;  // with one partition, as each has
  for (std::size_t n = in.CompactArrayLength(kLeastTopicBytes); n > 0 && in.ok(); --n) {
    DescribeTransactionsResponse::Topic& topic = response.topics.emplace_back();
    topic.name = in.CompactString();
    for (std::size_t p = in.CompactArrayLength(4); p > 0 && in.ok(); --p) topic.partitions.push_back(in.Int32());
    in.SkipTaggedFields();
  }
  in.SkipTaggedFields();
  in.SkipTaggedFields();
  return response;
}

void ListTransactionsRequest::Encode(Encoder& out) const {
  out.CompactArrayLength(0);  // states: every one
  out.CompactArrayLength(0);  // producer ids: every one
  out.NoTaggedFields();
}

ListTransactionsResponse ListTransactionsResponse::Decode(Decoder& in) {
  ListTransactionsResponse response;
  in.Int32();  // throttle time
  response.error_code = in.Int16();
  for (std::size_t n = in.CompactArrayLength(1); n > 0 && in.ok(); --n) in.CompactString();  // unknown filters
  for (std::size_t n = in.CompactArrayLength(11); n > 0 && in.ok(); --n) {
    ListTransactionsResponse::Transaction& transaction = response.transactions.emplace_back();
    transaction.transactional_id = in.CompactString();
    transaction.producer_id = in.Int64();
    transaction.state = in.CompactString();
    in.SkipTaggedFields();
  }
  in.SkipTaggedFields();
  return response;
}

}  // namespace assent::kafka::wire
