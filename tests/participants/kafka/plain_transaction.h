#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "participants/kafka/wire/cluster_messages.h"
#include "participants/kafka/wire/produce_messages.h"
#include "participants/kafka/wire/producer_messages.h"
#include "participants/kafka/wire/record_batch.h"
#include "participants/kafka/wire/transaction_messages.h"
#include "tests/participants/kafka/conversation.h"

namespace assent::kafka {

// A transaction made by hand, on a broker that is the only one of its cluster. A partition that is not added to it gets
// no marker when it ends: so it looks when Kafka has lost one. Such a broker needs the setting kUnverified.
class PlainTransaction {
 public:
  static constexpr const char* kUnverified = "transaction.partition.verification.enable=false";

  PlainTransaction(const std::string& server, std::string id) : broker_(server), id_(std::move(id)) {}

  static bool IsV2() {
    const char* const version = std::getenv("ASSENT_TEST_KAFKA_VERSION");
    return version == nullptr || std::string_view(version) >= "4";
  }

  void Begin() {
    Ask(wire::FindCoordinatorRequest{.transactional_id = id_});  // makes the topic that it keeps its state in
    const auto answer = Ask(wire::InitProducerIdRequest{.transactional_id = id_, .transaction_timeout_ms = 60'000});
    Continue(answer.producer_id, answer.epoch);
  }
  void Continue(std::int64_t producer_id, std::int16_t epoch) {
    producer_id_ = producer_id;
    epoch_ = epoch;
    sequences_.clear();
  }

  void Add(const std::string& topic, std::int32_t partition) {
    Ask(wire::AddPartitionsToTxnRequest{
        .transactional_id = id_, .producer_id = producer_id_, .epoch = epoch_, .topics = {{topic, {partition}}}});
  }

  void Produce(const std::string& topic, std::int32_t partition, const std::string& value) {
    wire::RecordBatchBuilder builder;
    builder.Add({.value = value});
    const std::string batch = builder.Finish(producer_id_, epoch_, sequences_[{topic, partition}]++);
    const wire::ProduceRequest request{.version = wire::ProduceRequest::kV1,
                                       .transactional_id = id_,
                                       .timeout_ms = 5000,
                                       .partitions = {{topic, partition, batch}}};
    Insist([&] {
      const auto answer = broker_.Ask(request);
      return answer.partitions.empty() ? std::int16_t{-1} : answer.partitions[0].error_code;
    });
  }

  // As the cluster's transactions end, or as those of V1 do anywhere.
  void End(bool commit, bool as_v2 = IsV2()) {
    Ask(wire::EndTxnRequest{.version = as_v2 ? wire::EndTxnRequest::kV2 : wire::EndTxnRequest::kV1,
                            .transactional_id = id_,
                            .producer_id = producer_id_,
                            .epoch = epoch_,
                            .commit = commit});
    while (State().state.starts_with("Prepare")) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }

  wire::DescribeTransactionsResponse State() {
    return broker_.Ask(wire::DescribeTransactionsRequest{.transactional_id = id_});
  }

  // From where on the transaction is open, as the partition's leader says; -1: it is not.
  std::int64_t OpenFrom(const std::string& topic, std::int32_t partition) {
    const auto answer = broker_.Ask(wire::DescribeProducersRequest{.topics = {{topic, {partition}}}});
    for (const auto& found : answer.topics) {
      for (const auto& leader : found.partitions) {
        EXPECT_EQ(leader.error_code, 0);
        for (const auto& producer : leader.producers) {
          if (producer.producer_id == producer_id_ && producer.open_from_offset >= 0) return producer.open_from_offset;
        }
      }
    }
    return -1;
  }

  std::int64_t producer_id() const { return producer_id_; }
  std::int16_t epoch() const { return epoch_; }

 private:
  // Until the broker has time: a topic and a coordinator that are new need some.
  template <typename Call>
  void Insist(Call code_of) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    std::int16_t code = code_of();
    while (code != 0 && std::chrono::steady_clock::now() < end) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      code = code_of();
    }
    EXPECT_EQ(code, 0);
  }
  template <typename Request>
  typename Request::Response Ask(const Request& request) {
    typename Request::Response answer;
    Insist([&] {
      answer = broker_.Ask(request);
      return answer.error_code;
    });
    return answer;
  }

  Conversation broker_;
  const std::string id_;
  std::int64_t producer_id_ = -1;
  std::int16_t epoch_ = -1;
  std::map<std::pair<std::string, std::int32_t>, std::int32_t> sequences_;
};

}  // namespace assent::kafka
