#include "participants/kafka/token.h"

#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "participants/kafka/transactional_ids.h"
#include "participants/kafka/wire/record_batch.h"
#include "participants/participant.h"

namespace assent::kafka {

v1::KafkaToken TokenFor(const std::string& transactional_id, const ProducerSession& session,
                        v1::KafkaTransactionVersion version, const std::vector<PartitionBatches>& records) {
  v1::KafkaToken token;
  token.set_transactional_id(transactional_id);
  token.set_producer_id(session.producer_id);
  token.set_epoch(session.epoch);
  token.set_version(version);
  for (const PartitionBatches& partition : records) {
    const int last = token.topics_size() - 1;
    const bool is_new = last < 0 || token.topics(last).topic() != partition.topic;
    auto& topic = is_new ? *token.add_topics() : *token.mutable_topics(last);
    topic.set_topic(partition.topic);
    topic.add_partitions(partition.partition);
  }
  return token;
}

void AddRecords(const std::vector<PartitionBatches>& records, v1::KafkaToken& token) {
  for (const PartitionBatches& from : records) {
    v1::KafkaToken::PartitionRecords& to = *token.add_records();
    to.set_topic(from.topic);
    to.set_partition(from.partition);
    for (const std::string& batch : from.batches) to.add_batches(batch);
  }
}

std::size_t BytesOf(const std::vector<PartitionBatches>& records) {
  std::size_t bytes = 0;
  for (const PartitionBatches& partition : records) {
    for (const std::string& batch : partition.batches) bytes += batch.size();
  }
  return bytes;
}

absl::StatusOr<ParsedToken> ParseToken(const std::string& bytes, const CoordinatorId& coordinator) {
  ParsedToken parsed;
  if (!parsed.token.ParseFromString(bytes)) {
    return absl::InvalidArgumentError(absl::StrCat("a token of ", bytes.size(), " bytes is no Kafka token"));
  }
  const auto id = ParseTransactionalId(parsed.token.transactional_id());
  if (!id || id->coordinator != coordinator) {
    return absl::InvalidArgumentError(absl::StrCat("the token names transactional id \"",
                                                   parsed.token.transactional_id(), "\", which is none of coordinator ",
                                                   coordinator.ToString()));
  }
  const bool epoch_fits = parsed.token.epoch() >= 0 && parsed.token.epoch() <= std::numeric_limits<std::int16_t>::max();
  const bool version_fits =
      parsed.token.version() == v1::KAFKA_TRANSACTION_V1 || parsed.token.version() == v1::KAFKA_TRANSACTION_V2;
  if (!version_fits || !epoch_fits) {
    return absl::InvalidArgumentError(absl::StrCat("the token of transactional id \"", parsed.token.transactional_id(),
                                                   "\" has version ", parsed.token.version(), " and epoch ",
                                                   parsed.token.epoch(), ", which this version cannot finish"));
  }
  for (const auto& records : parsed.token.records()) {
    for (const std::string& batch : records.batches()) {
      if (batch.size() >= wire::kBatchHeaderBytes) continue;
      return absl::InvalidArgumentError(absl::StrCat("the token of transactional id \"",
                                                     parsed.token.transactional_id(), "\" holds a batch of ",
                                                     batch.size(), " bytes, which is none"));
    }
  }
  parsed.number = id->number;
  return parsed;
}

std::string TokenText(const std::string& bytes) {
  v1::KafkaToken token;
  if (!token.ParseFromString(bytes)) return DescribeUnknownToken(bytes);
  const bool is_v1 = token.version() == v1::KAFKA_TRANSACTION_V1;
  std::string text = absl::StrCat("transactional id ", token.transactional_id(), ", producer ", token.producer_id(),
                                  ", epoch ", token.epoch(), is_v1 ? ", transactions V1" : ", transactions V2");
  for (const auto& topic : token.topics()) {
    absl::StrAppend(&text, ", ", topic.topic(), "[", absl::StrJoin(topic.partitions(), " "), "]");
  }
  int batches = 0;
  for (const auto& records : token.records()) batches += records.batches_size();
  if (batches > 0) absl::StrAppend(&text, ", with ", batches, " batches of records for a repair");
  return text;
}

}  // namespace assent::kafka
