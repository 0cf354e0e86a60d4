#include "participants/kafka/wire/record_batch.h"

#include <algorithm>

#include "base/check.h"
#include "base/crc32c.h"

namespace assent::kafka::wire {
namespace {

// The header of a batch, field by field.
constexpr std::size_t kBatchLengthAt = 8;
constexpr std::size_t kLengthCountsFrom = 12;
constexpr std::size_t kChecksumAt = 17;
constexpr std::size_t kChecksumCoversFrom = 21;
constexpr std::size_t kProducerIdAt = 43;
constexpr std::size_t kEpochAt = 51;

constexpr std::int8_t kMagic = 2;
constexpr std::int16_t kTransactional = 0x10;

struct BatchHeader {
  Compression compression;
  std::int32_t records;
  std::int64_t base_timestamp_ms;
  std::int64_t latest_timestamp_ms;
  std::int64_t producer_id;
  std::int16_t epoch;
  std::int32_t base_sequence;
};

void EncodeHeader(Encoder& out, const BatchHeader& header) {
  out.Int64(0);   // base offset: the leader's to say
  out.Int32(0);   // length, written when it is known
  out.Int32(-1);  // partition leader epoch: any
  out.Int8(kMagic);
  out.Int32(0);  // checksum, likewise
  out.Int16(static_cast<std::int16_t>(kTransactional | static_cast<int>(header.compression)));
  out.Int32(header.records - 1);  // offset of the last record
  out.Int64(header.base_timestamp_ms);
  out.Int64(header.latest_timestamp_ms);
  out.Int64(header.producer_id);
  out.Int16(header.epoch);
  out.Int32(header.base_sequence);
  out.Int32(header.records);
}

std::size_t NullableSize(const std::optional<std::string_view>& bytes) {
  return bytes ? VarintSize(static_cast<std::int64_t>(bytes->size())) + bytes->size() : 1;
}

void EncodeNullable(Encoder& out, const std::optional<std::string_view>& bytes) {
  out.Varint(bytes ? static_cast<std::int64_t>(bytes->size()) : -1);
  if (bytes) out.Raw(*bytes);
}

// A record without its length, and with these deltas.
std::size_t BodySize(const Record& record, std::int64_t timestamp_delta, std::int64_t offset_delta) {
  std::size_t size = 1 + VarintSize(timestamp_delta) + VarintSize(offset_delta) + NullableSize(record.key) +
                     NullableSize(record.value) + VarintSize(static_cast<std::int64_t>(record.headers.size()));
  for (const Record::Header& header : record.headers) size += NullableSize(header.key) + NullableSize(header.value);
  return size;
}

}  // namespace

std::size_t MostBytesOf(const Record& record) {
  constexpr std::int64_t kFarTimestamp = std::int64_t{1} << 48;
  constexpr std::int64_t kFarOffset = std::int64_t{1} << 30;
  const std::size_t body = BodySize(record, kFarTimestamp, kFarOffset);
  return kBatchHeaderBytes + VarintSize(static_cast<std::int64_t>(body)) + body;
}

RecordBatchBuilder::RecordBatchBuilder() { out_.Raw(std::string(kBatchHeaderBytes, '\0')); }

void RecordBatchBuilder::Add(const Record& record) {
  if (records_ == 0) base_timestamp_ms_ = latest_timestamp_ms_ = record.timestamp_ms;
  latest_timestamp_ms_ = std::max(latest_timestamp_ms_, record.timestamp_ms);
  const std::int64_t timestamp_delta = record.timestamp_ms - base_timestamp_ms_;
  out_.Varint(static_cast<std::int64_t>(BodySize(record, timestamp_delta, records_)));
  out_.Int8(0);  // attributes: none are defined
  out_.Varint(timestamp_delta);
  out_.Varint(records_);
  EncodeNullable(out_, record.key);
  EncodeNullable(out_, record.value);
  out_.Varint(static_cast<std::int64_t>(record.headers.size()));
  for (const Record::Header& header : record.headers) {
    EncodeNullable(out_, header.key);
    EncodeNullable(out_, header.value);
  }
  ++records_;
}

std::string RecordBatchBuilder::Finish(std::int64_t producer_id, std::int16_t epoch, std::int32_t base_sequence,
                                       Compression compression) const {
  ASSENT_CHECK(records_ > 0, "a batch has at least one record");
  const std::string_view plain = std::string_view(out_.bytes()).substr(kBatchHeaderBytes);
  std::string compressed;
  if (compression != Compression::kNone) {
    compressed = Compress(compression, plain);
    if (compressed.size() >= plain.size()) compression = Compression::kNone;
  }
  Encoder batch;
  batch.Reserve(out_.size());
  EncodeHeader(batch, {.compression = compression,
                       .records = records_,
                       .base_timestamp_ms = base_timestamp_ms_,
                       .latest_timestamp_ms = latest_timestamp_ms_,
                       .producer_id = producer_id,
                       .epoch = epoch,
                       .base_sequence = base_sequence});
  ASSENT_CHECK(batch.size() == kBatchHeaderBytes, "the header of a batch has 61 bytes");
  batch.Raw(compression == Compression::kNone ? plain : compressed);
  batch.OverwriteInt32(kBatchLengthAt, static_cast<std::uint32_t>(batch.size() - kLengthCountsFrom));
  batch.OverwriteInt32(kChecksumAt, Crc32c(std::string_view(batch.bytes()).substr(kChecksumCoversFrom)));
  return std::move(batch).Take();
}

std::string Reissue(std::string batch, std::int64_t producer_id, std::int16_t epoch) {
  ASSENT_CHECK(batch.size() >= kBatchHeaderBytes, "a batch has a header");
  Encoder producer;
  producer.Int64(producer_id);
  producer.Int16(epoch);
  static_assert(kEpochAt == kProducerIdAt + sizeof(producer_id));
  batch.replace(kProducerIdAt, producer.size(), producer.bytes());
  Encoder checksum;
  checksum.Int32(static_cast<std::int32_t>(Crc32c(std::string_view(batch).substr(kChecksumCoversFrom))));
  batch.replace(kChecksumAt, checksum.size(), checksum.bytes());
  return batch;
}

}  // namespace assent::kafka::wire
