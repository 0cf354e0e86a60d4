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

void EndTxnRequest::Encode(Encoder& out) const {
  out.CompactString(transactional_id);
  out.Int64(producer_id);
  out.Int16(epoch);
  out.Bool(commit);
  out.NoTaggedFields();
}

EndTxnResponse EndTxnResponse::Decode(Decoder& in) {
  EndTxnResponse response;
  in.Int32();  // throttle time
  response.error_code = in.Int16();
  response.producer_id = in.Int64();
  response.epoch = in.Int16();
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
  for (std::size_t n = in.CompactArrayLength(3); n > 0 && in.ok(); --n) {
    in.CompactString();
    in.SkipCompactInt32Array();
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
    in.Int64();  // producer id
    transaction.state = in.CompactString();
    in.SkipTaggedFields();
  }
  in.SkipTaggedFields();
  return response;
}

}  // namespace assent::kafka::wire
