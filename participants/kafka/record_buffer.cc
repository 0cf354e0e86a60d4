#include "participants/kafka/record_buffer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "participants/kafka/error_codes.h"

namespace assent::kafka {
namespace {

constexpr std::size_t kMaxTopicNameBytes = 249;
constexpr std::size_t kMostCompressedInATurn = std::size_t{64} << 10;

bool IsTopicName(std::string_view name) {
  const auto is_allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
  };
  return !name.empty() && name.size() <= kMaxTopicNameBytes && name != "." && name != ".." &&
         std::all_of(name.begin(), name.end(), is_allowed);
}

BranchError Invalid(std::string message) {
  return {.code = absl::StatusCode::kInvalidArgument, .message = std::move(message)};
}

BranchError Invalid(std::int16_t code, std::string message) {
  BranchError error = Invalid(std::move(message));
  error.kafka_error = code;
  error.kafka_error_name = std::string(FindErrorCode(code).name);
  return error;
}

std::int64_t ToMilliseconds(const google::protobuf::Timestamp& timestamp) {
  return timestamp.seconds() * 1000 + timestamp.nanos() / 1'000'000;
}

// A timestamp that a broker takes: from 1970 on, and to the year 9999 as protobuf defines it.
bool IsTimestamp(const google::protobuf::Timestamp& timestamp) {
  return timestamp.seconds() >= 0 && timestamp.seconds() <= 253'402'300'799 && timestamp.nanos() >= 0 &&
         timestamp.nanos() < 1'000'000'000;
}

// The record as the batch takes it; the views are into `record`.
wire::Record ToWire(const v1::KafkaRecord& record, std::int64_t now_ms) {
  wire::Record out;
  if (record.has_key()) out.key = record.key();
  if (record.has_value()) out.value = record.value();
  out.headers.reserve(static_cast<std::size_t>(record.headers_size()));
  for (const v1::KafkaHeader& header : record.headers()) {
    wire::Record::Header& added = out.headers.emplace_back();
    added.key = header.key();
    if (header.has_value()) added.value = header.value();
  }
  out.timestamp_ms = record.has_timestamp() ? ToMilliseconds(record.timestamp()) : now_ms;
  return out;
}

}  // namespace

bool BatchFinisher::FinishSome() {
  std::size_t compressed = 0;
  while (true) {
    if (finished_.empty() || finished_.back().batches.size() == records_[finished_.size() - 1].batches.size()) {
      if (finished_.size() == records_.size()) return true;
      const PartitionRecords& next = records_[finished_.size()];
      finished_.push_back({.topic = next.topic, .partition = next.partition});
      next_sequence_ = 0;
    }
    PartitionBatches& partition = finished_.back();
    const wire::RecordBatchBuilder& batch = records_[finished_.size() - 1].batches[partition.batches.size()];
    if (compressed > 0 && compressed + batch.size() > kMostCompressedInATurn) return false;
    partition.batches.push_back(batch.Finish(session_.producer_id, session_.epoch, next_sequence_, compression_));
    next_sequence_ += batch.records();
    if (compression_ != wire::Compression::kNone) compressed += batch.size();
  }
}

std::optional<BranchError> RecordBuffer::CheckRecord(const v1::KafkaRecord& record) const {
  if (!IsTopicName(record.topic())) {
    return Invalid(error::kInvalidTopic,
                   absl::StrCat("\"", absl::CHexEscape(record.topic().substr(0, 250)),
                                "\" is no name of a Kafka topic: 1 to 249 of A-Z, a-z, 0-9, '.', '_' and '-'"));
  }
  if (static_cast<std::size_t>(record.headers_size()) > options_->max_headers) {
    return Invalid(absl::StrCat("a record for topic \"", record.topic(), "\" has ", record.headers_size(),
                                " headers, more than max_headers = ", options_->max_headers));
  }
  for (const v1::KafkaHeader& header : record.headers()) {
    // That it is UTF-8 was seen to when the request was parsed.
    if (header.key().find('\0') != std::string::npos) {
      return Invalid(absl::StrCat("the header key \"", absl::CHexEscape(header.key().substr(0, 250)),
                                  "\" of a record for topic \"", record.topic(),
                                  "\" has a NUL byte, at which many consumers would cut it"));
    }
  }
  if (record.has_timestamp() && !IsTimestamp(record.timestamp())) {
    return Invalid(
        error::kInvalidTimestamp,
        absl::StrCat("a record for topic \"", record.topic(), "\" has a timestamp of ", record.timestamp().seconds(),
                     " s and ", record.timestamp().nanos(), " ns since 1970, which is outside the years 1970 to 9999"));
  }
  return std::nullopt;
}

std::optional<BranchError> RecordBuffer::Check(const v1::KafkaOperation& operation, WantedTopics& topics) const {
  std::size_t bytes = bytes_;
  for (const v1::KafkaRecord& record : operation.records()) {
    if (auto error = CheckRecord(record)) return error;
    const std::size_t size = wire::MostBytesOf(ToWire(record, 0));
    if (size > options_->max_record_bytes) {
      return Invalid(
          error::kMessageTooLarge,
          absl::StrCat("a record for topic \"", record.topic(), "\" takes ", size,
                       " bytes, more than max_record_bytes = ", options_->max_record_bytes, " of participant \"",
                       options_->name, "\" (and a broker takes no more than the topic's max.message.bytes)"));
    }
    bytes += size;
    std::int32_t& highest = topics.try_emplace(record.topic(), -1).first->second;
    if (record.has_partition()) highest = std::max(highest, record.partition());
  }
  if (bytes > options_->max_branch_bytes) {
    return BranchError{
        .code = absl::StatusCode::kResourceExhausted,
        .message = absl::StrCat("the branch would hold ", bytes, " bytes of records, more than max_branch_bytes = ",
                                options_->max_branch_bytes, " of participant \"", options_->name, "\"")};
  }
  return std::nullopt;
}

std::int32_t RecordBuffer::PartitionWithoutKey(const std::string& name, const Topic& topic) {
  const auto chosen = without_key_.find(name);
  if (chosen != without_key_.end()) return chosen->second;
  const std::size_t count = topic.leaders.size();
  std::size_t partition = turn_ % count;
  // Rather one that has a leader now.
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t candidate = (turn_ + i) % count;
    if (topic.leaders[candidate] < 0) continue;
    partition = candidate;
    break;
  }
  without_key_[name] = static_cast<std::int32_t>(partition);
  return static_cast<std::int32_t>(partition);
}

std::optional<BranchError> RecordBuffer::Place(const v1::KafkaRecord& record, const Cluster& cluster,
                                               std::int32_t& partition) {
  const Topic* topic = cluster.FindTopic(record.topic());
  const std::int16_t code = topic == nullptr ? error::kUnknownTopicOrPartition : topic->error_code;
  if (code != error::kNone) {
    BranchError error = ErrorOfCode(
        code, absl::StrCat("topic \"", record.topic(), "\" of participant \"", options_->name, "\" cannot be written"));
    if (code == error::kUnknownTopicOrPartition) {
      error.code = absl::StatusCode::kNotFound;
      error.message =
          absl::StrCat("topic \"", record.topic(), "\" does not exist at participant \"", options_->name,
                       "\" (Kafka error 3, UNKNOWN_TOPIC_OR_PARTITION): topics are never created by writing "
                       "to them; create it first");
      error.retryable = false;
    }
    return error;
  }
  // A broker refuses the records too, but adds the partition to the transaction before: the marker of its end is then
  // written into Kafka's own state, which can no longer be read.
  if (topic->is_internal) {
    return Invalid(error::kInvalidTopic, absl::StrCat("topic \"", record.topic(), "\" of participant \"",
                                                      options_->name, "\" is one of Kafka's own: it is not written"));
  }
  const auto count = static_cast<std::int32_t>(topic->leaders.size());
  if (record.has_partition()) {
    partition = record.partition();
    if (partition >= 0 && partition < count) return std::nullopt;
    BranchError error =
        Invalid(error::kUnknownTopicOrPartition,
                absl::StrCat("partition ", partition, " of topic \"", record.topic(),
                             "\" does not exist at participant \"", options_->name, "\": it has ", count, ", from 0"));
    error.code = absl::StatusCode::kNotFound;
    return error;
  }
  partition = record.has_key() ? PartitionOfKey(partitioner_, record.key(), count)
                               : PartitionWithoutKey(record.topic(), *topic);
  return std::nullopt;
}

std::optional<BranchError> RecordBuffer::Add(const v1::KafkaOperation& operation, const Cluster& cluster,
                                             absl::Time now) {
  std::vector<std::int32_t> places(static_cast<std::size_t>(operation.records_size()));
  for (int i = 0; i < operation.records_size(); ++i) {
    if (auto error = Place(operation.records(i), cluster, places[static_cast<std::size_t>(i)])) return error;
  }
  for (int i = 0; i < operation.records_size(); ++i) {
    const v1::KafkaRecord& record = operation.records(i);
    const wire::Record encoded = ToWire(record, absl::ToUnixMillis(now));
    const std::size_t size = wire::MostBytesOf(encoded);
    auto& batches = partitions_[{record.topic(), places[static_cast<std::size_t>(i)]}];
    if (batches.empty() || batches.back().size() + size > options_->max_batch_bytes) batches.emplace_back();
    batches.back().Add(encoded);
    bytes_ += size;
  }
  return std::nullopt;
}

std::vector<PartitionRecords> RecordBuffer::Take() {
  std::vector<PartitionRecords> taken;
  taken.reserve(partitions_.size());
  for (auto& [place, batches] : partitions_) {
    taken.push_back({.topic = place.first, .partition = place.second, .batches = std::move(batches)});
  }
  partitions_.clear();
  bytes_ = 0;
  return taken;
}

}  // namespace assent::kafka
