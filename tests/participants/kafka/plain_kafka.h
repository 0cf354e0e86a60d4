#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.h"

struct rd_kafka_s;

namespace assent::kafka {

// A record as an independent reader sees it.
struct ReadRecord {
  std::int32_t partition = 0;
  std::optional<std::string> key;
  std::optional<std::string> value;
  std::vector<std::pair<std::string, std::optional<std::string>>> headers;
  std::int64_t timestamp_ms = 0;
};

// A broker judged without the adapter: topics are made and read by librdkafka; only what that cannot ask (the states of
// transactions) goes through our codec. It blocks.
class PlainKafka {
 public:
  // `bootstrap_servers`: every broker of the cluster, separated by commas.
  explicit PlainKafka(std::string bootstrap_servers);
  ~PlainKafka();
  PlainKafka(const PlainKafka&) = delete;
  PlainKafka& operator=(const PlainKafka&) = delete;

  using Settings = std::vector<std::pair<std::string, std::string>>;

  // Makes a topic with a name of its own, and waits until it can be written.
  std::string CreateTopic(int partitions, const Settings& settings = {}, int replicas = 1);
  void SetTopic(const std::string& topic, const Settings& settings);
  void AddPartitions(const std::string& topic, int partitions);  // until it has so many
  void DeleteTopic(const std::string& topic);
  void AllowTopic(const std::string& user, const std::string& topic);  // by the access list: everything

  // Writes a record for each key, where this partitioner of librdkafka puts it.
  void ProduceKeys(const std::string& topic, const std::vector<std::string>& keys, const std::string& partitioner);

  // Every record that a read_committed consumer sees, of each partition in order, once no transaction of the
  // coordinator is still being finished.
  std::vector<ReadRecord> ReadCommitted(const std::string& topic, const CoordinatorId& coordinator);

  // Brings a transactional id to an epoch by beginning one after the other.
  void RaiseEpoch(const std::string& transactional_id, std::int16_t epoch);

  // The states of the coordinator's transactional ids, by id.
  std::vector<std::pair<std::string, std::string>> TransactionStates(const CoordinatorId& coordinator);

 private:
  std::vector<ReadRecord> Read(const std::string& topic);
  void AwaitPartitions(const std::string& topic, int partitions);
  int CountPartitions(const std::string& topic);

  const std::string bootstrap_servers_;
  rd_kafka_s* client_ = nullptr;
};

}  // namespace assent::kafka
