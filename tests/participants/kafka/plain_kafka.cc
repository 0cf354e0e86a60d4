#include "tests/participants/kafka/plain_kafka.h"

#include <gtest/gtest.h>
#include <librdkafka/rdkafka.h>

#include <array>
#include <chrono>
#include <memory>
#include <random>
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "participants/kafka/wire/transaction_messages.h"
#include "tests/participants/kafka/conversation.h"

namespace assent::kafka {
namespace {

constexpr int kPatienceMs = 20'000;

void Set(rd_kafka_conf_t* conf, const char* name, const std::string& value) {
  std::array<char, 256> error{};
  if (rd_kafka_conf_set(conf, name, value.c_str(), error.data(), error.size()) != RD_KAFKA_CONF_OK) {
    ADD_FAILURE() << name << ": " << error.data();
  }
}

template <auto kDestroy>
struct Destroy {
  template <typename T>
  void operator()(T* object) const {
    kDestroy(object);
  }
};
using Queue = std::unique_ptr<rd_kafka_queue_t, Destroy<rd_kafka_queue_destroy>>;
using Event = std::unique_ptr<rd_kafka_event_t, Destroy<rd_kafka_event_destroy>>;

// The answer to a call of the admin API, which `start` makes with the queue that the answer goes to. Null, and a failed
// test, where none comes in time.
template <typename Start>
Event AskAdmin(rd_kafka_t* client, const std::string& what, Start start) {
  const Queue queue(rd_kafka_queue_new(client));
  start(queue.get());
  Event event(rd_kafka_queue_poll(queue.get(), kPatienceMs));
  if (event == nullptr) {
    ADD_FAILURE() << what << ": no answer in time";
  } else {
    EXPECT_EQ(rd_kafka_event_error(event.get()), RD_KAFKA_RESP_ERR_NO_ERROR)
        << what << ": " << rd_kafka_event_error_string(event.get());
  }
  return event;
}

// What the answer says of each topic.
template <typename Result>
void ExpectDone(const std::string& what, const Result* result,
                const rd_kafka_topic_result_t** topics_of(const Result*, std::size_t*)) {
  std::size_t count = 0;
  const rd_kafka_topic_result_t** topics = topics_of(result, &count);
  for (std::size_t i = 0; i < count; ++i) {
    EXPECT_EQ(rd_kafka_topic_result_error(topics[i]), RD_KAFKA_RESP_ERR_NO_ERROR)
        << what << ": " << rd_kafka_topic_result_error_string(topics[i]);
  }
}

std::optional<std::string> Nullable(const void* bytes, std::size_t size) {
  if (bytes == nullptr) return std::nullopt;
  return std::string(static_cast<const char*>(bytes), size);
}

ReadRecord RecordOf(const rd_kafka_message_t& message) {
  ReadRecord record;
  record.partition = message.partition;
  record.key = Nullable(message.key, message.key_len);
  record.value = Nullable(message.payload, message.len);
  record.timestamp_ms = rd_kafka_message_timestamp(&message, nullptr);
  rd_kafka_headers_t* headers = nullptr;
  if (rd_kafka_message_headers(&message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) return record;
  const char* name = nullptr;
  const void* value = nullptr;
  std::size_t size = 0;
  for (std::size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR;
       ++i) {
    record.headers.emplace_back(name, Nullable(value, size));
  }
  return record;
}

}  // namespace

PlainKafka::PlainKafka(std::string bootstrap_servers) : bootstrap_servers_(std::move(bootstrap_servers)) {
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  Set(conf, "bootstrap.servers", bootstrap_servers_);
  Set(conf, "group.id", "judge");
  Set(conf, "isolation.level", "read_committed");
  Set(conf, "enable.auto.commit", "false");
  Set(conf, "enable.partition.eof", "true");
  Set(conf, "fetch.wait.max.ms", "10");
  Set(conf, "log_level", "2");
  std::array<char, 256> error{};
  client_ = rd_kafka_new(RD_KAFKA_CONSUMER, conf, error.data(), error.size());
  if (client_ == nullptr) ADD_FAILURE() << error.data();
  rd_kafka_poll_set_consumer(client_);
}

// The client is left to the end of the process: librdkafka 2.0.2 may wait for ever in rd_kafka_destroy(), for the
// thread of a broker whose client has seen topics deleted.
PlainKafka::~PlainKafka() = default;

std::string PlainKafka::CreateTopic(int partitions, const Settings& settings, int replicas) {
  std::random_device random;
  const std::string name = absl::StrCat("test-", random(), "-", random());
  std::array<char, 256> error{};
  rd_kafka_NewTopic_t* topic = rd_kafka_NewTopic_new(name.c_str(), partitions, replicas, error.data(), error.size());
  for (const auto& [setting, value] : settings) rd_kafka_NewTopic_set_config(topic, setting.c_str(), value.c_str());
  const std::string what = absl::StrCat("creating topic ", name);
  const Event event = AskAdmin(
      client_, what, [&](rd_kafka_queue_t* queue) { rd_kafka_CreateTopics(client_, &topic, 1, nullptr, queue); });
  if (event != nullptr) {
    ExpectDone(what, rd_kafka_event_CreateTopics_result(event.get()), rd_kafka_CreateTopics_result_topics);
  }
  rd_kafka_NewTopic_destroy(topic);
  AwaitPartitions(name, partitions);
  return name;
}

void PlainKafka::AwaitPartitions(const std::string& topic, int partitions) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(kPatienceMs);
  while (CountPartitions(topic) < partitions) {
    if (std::chrono::steady_clock::now() > end) {
      ADD_FAILURE() << "topic " << topic << " has no leaders in time";
      return;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

void PlainKafka::SetTopic(const std::string& topic, const Settings& settings) {
  rd_kafka_ConfigResource_t* resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic.c_str());
  for (const auto& [setting, value] : settings) {
    rd_kafka_ConfigResource_set_config(resource, setting.c_str(), value.c_str());
  }
  const Event event = AskAdmin(client_, absl::StrCat("setting topic ", topic), [&](rd_kafka_queue_t* queue) {
    rd_kafka_AlterConfigs(client_, &resource, 1, nullptr, queue);
  });
  if (event != nullptr) {
    std::size_t count = 0;
    const auto** changed =
        rd_kafka_AlterConfigs_result_resources(rd_kafka_event_AlterConfigs_result(event.get()), &count);
    for (std::size_t i = 0; i < count; ++i) {
      EXPECT_EQ(rd_kafka_ConfigResource_error(changed[i]), RD_KAFKA_RESP_ERR_NO_ERROR)
          << rd_kafka_ConfigResource_error_string(changed[i]);
    }
  }
  rd_kafka_ConfigResource_destroy(resource);
}

void PlainKafka::AddPartitions(const std::string& topic, int partitions) {
  std::array<char, 256> error{};
  auto* added =
      rd_kafka_NewPartitions_new(topic.c_str(), static_cast<std::size_t>(partitions), error.data(), error.size());
  const std::string what = absl::StrCat("adding partitions to topic ", topic);
  const Event event = AskAdmin(
      client_, what, [&](rd_kafka_queue_t* queue) { rd_kafka_CreatePartitions(client_, &added, 1, nullptr, queue); });
  if (event != nullptr) {
    ExpectDone(what, rd_kafka_event_CreatePartitions_result(event.get()), rd_kafka_CreatePartitions_result_topics);
  }
  rd_kafka_NewPartitions_destroy(added);
  AwaitPartitions(topic, partitions);
}

void PlainKafka::DeleteTopic(const std::string& topic) {
  rd_kafka_DeleteTopic_t* deleted = rd_kafka_DeleteTopic_new(topic.c_str());
  AskAdmin(client_, absl::StrCat("deleting topic ", topic),
           [&](rd_kafka_queue_t* queue) { rd_kafka_DeleteTopics(client_, &deleted, 1, nullptr, queue); });
  rd_kafka_DeleteTopic_destroy(deleted);
}

void PlainKafka::AllowTopic(const std::string& user, const std::string& topic) {
  std::array<char, 256> error{};
  rd_kafka_AclBinding_t* binding = rd_kafka_AclBinding_new(
      RD_KAFKA_RESOURCE_TOPIC, topic.c_str(), RD_KAFKA_RESOURCE_PATTERN_LITERAL, ("User:" + user).c_str(), "*",
      RD_KAFKA_ACL_OPERATION_ALL, RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW, error.data(), error.size());
  ASSERT_NE(binding, nullptr) << error.data();
  AskAdmin(client_, absl::StrCat("allowing ", user, " topic ", topic),
           [&](rd_kafka_queue_t* queue) { rd_kafka_CreateAcls(client_, &binding, 1, nullptr, queue); });
  rd_kafka_AclBinding_destroy(binding);
}

void PlainKafka::ProduceKeys(const std::string& topic, const std::vector<std::string>& keys,
                             const std::string& partitioner) {
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  Set(conf, "bootstrap.servers", bootstrap_servers_);
  Set(conf, "partitioner", partitioner);
  std::array<char, 256> error{};
  rd_kafka_t* producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error.data(), error.size());
  ASSERT_NE(producer, nullptr) << error.data();
  for (const std::string& key : keys) {
    EXPECT_EQ(rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(topic.c_str()), RD_KAFKA_V_KEY(key.data(), key.size()),
                                RD_KAFKA_V_VALUE(const_cast<char*>("v"), 1), RD_KAFKA_V_END),
              RD_KAFKA_RESP_ERR_NO_ERROR);
  }
  EXPECT_EQ(rd_kafka_flush(producer, kPatienceMs), RD_KAFKA_RESP_ERR_NO_ERROR);
  rd_kafka_destroy(producer);
}

// Those that have a leader.
int PlainKafka::CountPartitions(const std::string& topic) {
  rd_kafka_topic_t* handle = rd_kafka_topic_new(client_, topic.c_str(), nullptr);
  const rd_kafka_metadata_t* metadata = nullptr;
  int count = 0;
  if (rd_kafka_metadata(client_, 0, handle, &metadata, kPatienceMs) == RD_KAFKA_RESP_ERR_NO_ERROR) {
    for (int t = 0; t < metadata->topic_cnt; ++t) {
      for (int p = 0; p < metadata->topics[t].partition_cnt; ++p) {
        count += metadata->topics[t].partitions[p].leader >= 0 ? 1 : 0;
      }
    }
    rd_kafka_metadata_destroy(metadata);
  }
  rd_kafka_topic_destroy(handle);
  return count;
}

void PlainKafka::RaiseEpoch(const std::string& transactional_id, std::int16_t epoch) {
  Conversation conversation(bootstrap_servers_);
  const wire::InitProducerIdRequest request{.transactional_id = transactional_id, .transaction_timeout_ms = 60'000};
  const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(2);
  std::int16_t reached = -1;
  while (reached < epoch && std::chrono::steady_clock::now() < end) {
    const wire::InitProducerIdResponse answer = conversation.Ask(request);
    if (answer.error_code == 0) reached = answer.epoch;  // else its coordinator is not ready yet
  }
  EXPECT_EQ(reached, epoch);
}

std::vector<std::pair<std::string, std::string>> PlainKafka::TransactionStates(const CoordinatorId& coordinator) {
  std::vector<std::pair<std::string, std::string>> states;
  const std::vector<std::string> servers = absl::StrSplit(bootstrap_servers_, ',');
  for (const std::string& server : servers) {
    const wire::ListTransactionsResponse listed = Conversation(server).Ask(wire::ListTransactionsRequest{});
    EXPECT_EQ(listed.error_code, 0);
    for (const auto& found : listed.transactions) {
      const auto id = ParseTransactionalId(found.transactional_id);
      if (id && id->coordinator == coordinator) states.emplace_back(found.transactional_id, found.state);
    }
  }
  return states;
}

std::vector<ReadRecord> PlainKafka::ReadCommitted(const std::string& topic, const CoordinatorId& coordinator) {
  const auto is_being_finished = [&] {
    for (const auto& [id, state] : TransactionStates(coordinator)) {
      if (state.starts_with("Prepare")) return true;
    }
    return false;
  };
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(kPatienceMs);
  while (is_being_finished()) {
    if (std::chrono::steady_clock::now() > end) {
      ADD_FAILURE() << "a transaction is being finished for too long";
      break;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return Read(topic);
}

std::vector<ReadRecord> PlainKafka::Read(const std::string& topic) {
  const int partitions = CountPartitions(topic);
  rd_kafka_topic_partition_list_t* list = rd_kafka_topic_partition_list_new(partitions);
  for (int p = 0; p < partitions; ++p) {
    rd_kafka_topic_partition_list_add(list, topic.c_str(), p)->offset = RD_KAFKA_OFFSET_BEGINNING;
  }
  rd_kafka_assign(client_, list);
  std::vector<ReadRecord> records;
  std::set<std::int32_t> read_to_the_end;
  while (static_cast<int>(read_to_the_end.size()) < partitions) {
    rd_kafka_message_t* message = rd_kafka_consumer_poll(client_, kPatienceMs);
    if (message == nullptr) {
      ADD_FAILURE() << "the topic could not be read to its end in time";
      break;
    }
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
      read_to_the_end.insert(message->partition);
    } else if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
      records.push_back(RecordOf(*message));
    }
    rd_kafka_message_destroy(message);
  }
  rd_kafka_assign(client_, nullptr);
  rd_kafka_topic_partition_list_destroy(list);
  return records;
}

}  // namespace assent::kafka
