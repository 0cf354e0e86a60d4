#include "tests/integration/topic.h"

#include <gtest/gtest.h>
#include <librdkafka/rdkafka.h>

#include <array>
#include <set>

namespace assent::integration {
namespace {

constexpr int kPatienceMs = 20'000;

using Client = std::unique_ptr<rd_kafka_t, decltype(&rd_kafka_destroy)>;

Client MakeClient(const std::string& server, rd_kafka_type_t type, const std::string& isolation,
                  const std::string& transactional_id = "") {
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  std::array<char, 512> error{};
  const auto set = [&](const char* key, const std::string& value) {
    if (rd_kafka_conf_set(conf, key, value.c_str(), error.data(), error.size()) != RD_KAFKA_CONF_OK) {
      ADD_FAILURE() << error.data();
    }
  };
  set("bootstrap.servers", server);
  if (!transactional_id.empty()) set("transactional.id", transactional_id);
  if (type == RD_KAFKA_CONSUMER) {
    set("isolation.level", isolation);
    set("group.id", UniqueName("reader"));
    set("enable.partition.eof", "true");
    set("enable.auto.commit", "false");
    set("fetch.wait.max.ms", "10");  // the end of a partition is told only after it
  }
  rd_kafka_t* client = rd_kafka_new(type, conf, error.data(), error.size());
  if (client == nullptr) ADD_FAILURE() << error.data();
  if (type == RD_KAFKA_CONSUMER) rd_kafka_poll_set_consumer(client);
  return {client, rd_kafka_destroy};
}

void CreateTopic(const std::string& server, const std::string& name, int partitions) {
  const Client client = MakeClient(server, RD_KAFKA_PRODUCER, "");
  std::array<char, 512> error{};
  rd_kafka_NewTopic_t* topic = rd_kafka_NewTopic_new(name.c_str(), partitions, 1, error.data(), error.size());
  rd_kafka_AdminOptions_t* options = rd_kafka_AdminOptions_new(client.get(), RD_KAFKA_ADMIN_OP_CREATETOPICS);
  rd_kafka_AdminOptions_set_operation_timeout(options, kPatienceMs, error.data(), error.size());
  rd_kafka_queue_t* queue = rd_kafka_queue_new(client.get());
  rd_kafka_CreateTopics(client.get(), &topic, 1, options, queue);
  rd_kafka_event_t* event = rd_kafka_queue_poll(queue, kPatienceMs);
  if (event == nullptr || rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR) {
    ADD_FAILURE() << "topic " << name << " was not created";
  }
  if (event != nullptr) rd_kafka_event_destroy(event);
  rd_kafka_queue_destroy(queue);
  rd_kafka_AdminOptions_destroy(options);
  rd_kafka_NewTopic_destroy(topic);
}

// The offset after the last one that a reader of that isolation may see.
std::int64_t EndOffset(rd_kafka_t* client, const std::string& topic, int partition) {
  std::int64_t low = 0;
  std::int64_t high = 0;
  const auto error = rd_kafka_query_watermark_offsets(client, topic.c_str(), partition, &low, &high, kPatienceMs);
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) ADD_FAILURE() << topic << ": " << rd_kafka_err2str(error);
  return high;
}

ReadRecord ToRecord(const rd_kafka_message_t& message) {
  return {.partition = message.partition,
          .offset = message.offset,
          .key = std::string(static_cast<const char*>(message.key), message.key_len),
          .value = std::string(static_cast<const char*>(message.payload), message.len)};
}

std::vector<ReadRecord> ReadPartition(const std::string& server, const std::string& topic, int partition,
                                      const std::string& isolation) {
  const Client client = MakeClient(server, RD_KAFKA_CONSUMER, isolation);
  const std::int64_t end = EndOffset(client.get(), topic, partition);
  std::vector<ReadRecord> records;
  if (end == 0) return records;
  rd_kafka_topic_partition_list_t* assignment = rd_kafka_topic_partition_list_new(1);
  rd_kafka_topic_partition_list_add(assignment, topic.c_str(), partition)->offset = 0;
  rd_kafka_assign(client.get(), assignment);
  rd_kafka_topic_partition_list_destroy(assignment);
  for (bool at_end = false; !at_end;) {
    rd_kafka_message_t* message = rd_kafka_consumer_poll(client.get(), kPatienceMs);
    if (message == nullptr) {
      ADD_FAILURE() << topic << ": no record within " << kPatienceMs << " ms, before offset " << end;
      return records;
    }
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
      records.push_back(ToRecord(*message));
    } else if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
      at_end = message->offset >= end;
    } else {
      ADD_FAILURE() << topic << ": " << rd_kafka_message_errstr(message);
      at_end = true;
    }
    rd_kafka_message_destroy(message);
  }
  rd_kafka_consumer_close(client.get());
  return records;
}

}  // namespace

ScratchTopic::ScratchTopic(int partitions, std::string server)
    : server_(std::move(server)), name_(UniqueName("topic")), partitions_(partitions) {
  CreateTopic(server_, name_, partitions_);
}

std::vector<ReadRecord> ScratchTopic::ReadCommitted() const {
  std::vector<ReadRecord> all;
  for (int partition = 0; partition < partitions_; ++partition) {
    const auto records = ReadPartition(server_, name_, partition, "read_committed");
    all.insert(all.end(), records.begin(), records.end());
  }
  return all;
}

std::size_t ScratchTopic::CountUncommitted() const {
  std::size_t count = 0;
  for (int partition = 0; partition < partitions_; ++partition) {
    count += ReadPartition(server_, name_, partition, "read_uncommitted").size();
  }
  return count;
}

bool ScratchTopic::IsStable() const {
  const Client committed = MakeClient(server_, RD_KAFKA_CONSUMER, "read_committed");
  const Client uncommitted = MakeClient(server_, RD_KAFKA_CONSUMER, "read_uncommitted");
  for (int partition = 0; partition < partitions_; ++partition) {
    if (EndOffset(committed.get(), name_, partition) != EndOffset(uncommitted.get(), name_, partition)) return false;
  }
  return true;
}

void EndTransactionsOf(const std::string& transactional_id) {
  const Client client = MakeClient(KafkaServer(), RD_KAFKA_PRODUCER, "", transactional_id);
  rd_kafka_error_t* error = rd_kafka_init_transactions(client.get(), kPatienceMs);
  if (error == nullptr) return;
  ADD_FAILURE() << transactional_id << ": " << rd_kafka_error_string(error);
  rd_kafka_error_destroy(error);
}

bool TopicExists(const std::string& name) {
  const Client client = MakeClient(KafkaServer(), RD_KAFKA_PRODUCER, "");
  const rd_kafka_metadata_t* metadata = nullptr;
  EXPECT_EQ(rd_kafka_metadata(client.get(), 1, nullptr, &metadata, kPatienceMs), RD_KAFKA_RESP_ERR_NO_ERROR);
  bool found = false;
  for (int i = 0; i < metadata->topic_cnt; ++i) found = found || metadata->topics[i].topic == name;
  rd_kafka_metadata_destroy(metadata);
  return found;
}

}  // namespace assent::integration
