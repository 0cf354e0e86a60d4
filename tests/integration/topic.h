#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/integration/servers.h"

namespace assent::integration {

struct ReadRecord {
  std::int32_t partition = 0;
  std::int64_t offset = 0;
  std::string key;
  std::string value;
};

// A Kafka topic of a test's own, read past the coordinator by librdkafka: an independent judge. It stays when the test
// ends; the broker is thrown away as a whole.
class ScratchTopic {
 public:
  explicit ScratchTopic(int partitions = 1, std::string server = KafkaServer());

  const std::string& name() const { return name_; }

  // What a read_committed consumer finds, from the first record to the last stable offset; partition by partition.
  std::vector<ReadRecord> ReadCommitted() const;

  // How many records of open or aborted transactions, and of committed ones, a reader who does not care sees.
  std::size_t CountUncommitted() const;

  // True if no transaction is open in any partition: the last stable offset is the high watermark.
  bool IsStable() const;

 private:
  const std::string server_;
  const std::string name_;
  const int partitions_;
};

// Aborts what is open under a transactional id, as a producer does that begins to use it, and Kafka's own tool.
void EndTransactionsOf(const std::string& transactional_id);

// True if the broker knows a topic of that name. Asking does not create it.
bool TopicExists(const std::string& name);

}  // namespace assent::integration
