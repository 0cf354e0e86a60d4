#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "assent/v1/types.pb.h"
#include "participants/kafka/cluster.h"
#include "participants/kafka/kafka_options.h"
#include "participants/kafka/partitioner.h"
#include "participants/kafka/transactional_id_pool.h"
#include "participants/kafka/wire/record_batch.h"
#include "participants/participant.h"

namespace assent::kafka {

// The batches of one partition in one branch, in order.
struct PartitionRecords {
  std::string topic;
  std::int32_t partition = 0;
  std::vector<wire::RecordBatchBuilder> batches;
};

// The same, as they go to the broker.
struct PartitionBatches {
  std::string topic;
  std::int32_t partition = 0;
  std::vector<std::string> batches;
};

// Makes of a branch's records the batches of one transaction, whose epoch nothing else was produced under. Compressing
// takes time that the shard's other transactions have to have in between: so a part is made in each turn of the loop.
class BatchFinisher {
 public:
  BatchFinisher(std::vector<PartitionRecords> records, const ProducerSession& session, wire::Compression compression)
      : records_(std::move(records)), session_(session), compression_(compression) {}

  // Makes some more: true when all are made. In one go where nothing is compressed; after every 64 KiB otherwise, or
  // one batch.
  bool FinishSome();

  // After the last of them.
  std::vector<PartitionBatches> Take() { return std::move(finished_); }

  const ProducerSession& session() const { return session_; }

 private:
  const std::vector<PartitionRecords> records_;
  const ProducerSession session_;
  const wire::Compression compression_;
  std::vector<PartitionBatches> finished_;  // the last may lack batches
  std::int32_t next_sequence_ = 0;          // in its partition
};

// The records of a branch, checked, encoded, and sorted by partition: kept until the branch prepares.
//
// Owned by its branch.
class RecordBuffer {
 public:
  // `turn` rises with each branch: where it points, records without a key go.
  RecordBuffer(const KafkaOptions& options, Partitioner partitioner, std::uint64_t turn)
      : options_(&options), partitioner_(partitioner), turn_(turn) {}

  // The topics and partitions that an operation names, or why the operation can never be taken: bad names, records that
  // are too large, more bytes than a branch may have.
  std::optional<BranchError> Check(const v1::KafkaOperation& operation, WantedTopics& topics) const;

  // Adds the records of a checked operation whose topics the cluster knows: all of them, or none and why.
  std::optional<BranchError> Add(const v1::KafkaOperation& operation, const Cluster& cluster, absl::Time now);

  bool empty() const { return partitions_.empty(); }
  std::size_t bytes() const { return bytes_; }

  // Every partition with its batches; the buffer is empty afterwards.
  std::vector<PartitionRecords> Take();

 private:
  std::optional<BranchError> CheckRecord(const v1::KafkaRecord& record) const;
  std::optional<BranchError> Place(const v1::KafkaRecord& record, const Cluster& cluster, std::int32_t& partition);
  std::int32_t PartitionWithoutKey(const std::string& name, const Topic& topic);

  const KafkaOptions* options_;
  Partitioner partitioner_;
  std::uint64_t turn_;
  std::size_t bytes_ = 0;
  std::map<std::pair<std::string, std::int32_t>, std::vector<wire::RecordBatchBuilder>> partitions_;
  // All records of the branch that have no key go to one partition of their topic: each further one costs the broker.
  absl::flat_hash_map<std::string, std::int32_t> without_key_;
};

}  // namespace assent::kafka
