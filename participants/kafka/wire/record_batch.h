#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "participants/kafka/wire/compression.h"
#include "participants/kafka/wire/encoder.h"

namespace assent::kafka::wire {

// One record as it goes into a batch.
struct Record {
  struct Header {
    std::string_view key;
    std::optional<std::string_view> value;
  };
  std::optional<std::string_view> key;
  std::optional<std::string_view> value;
  std::vector<Header> headers;
  std::int64_t timestamp_ms = 0;
};

// What one record takes in a batch at most: its fields with the longest deltas.
std::size_t MostBytesOf(const Record& record);

// Builds a transactional record batch of magic 2. Records are encoded as they come; who produces them is filled in at
// the end, because it is known only when the branch prepares.
// Source: the protocol documentation of Apache Kafka, "Message Format", "Record Batch".
class RecordBatchBuilder {
 public:
  RecordBatchBuilder();

  void Add(const Record& record);

  std::int32_t records() const { return records_; }
  std::size_t size() const { return out_.size(); }

  // The batch. `base_sequence` is the number of its first record among all that this producer id and epoch sends to the
  // partition: the leader drops a batch that it has seen. A batch that compression would not make smaller goes without.
  std::string Finish(std::int64_t producer_id, std::int16_t epoch, std::int32_t base_sequence,
                     Compression compression = Compression::kNone) const;

 private:
  Encoder out_;  // the batch, with zeros in place of its header
  std::int32_t records_ = 0;
  std::int64_t base_timestamp_ms_ = 0;
  std::int64_t latest_timestamp_ms_ = 0;
};

// What every batch begins with.
inline constexpr std::size_t kBatchHeaderBytes = 61;

// A batch of Finish() as another transaction produces it: with the same records and sequence, for a new producer id and
// epoch. `batch` has at least its header.
std::string Reissue(std::string batch, std::int64_t producer_id, std::int16_t epoch);

}  // namespace assent::kafka::wire
