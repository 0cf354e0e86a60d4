#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "participants/kafka/broker.h"
#include "participants/kafka/wire/producer_messages.h"

namespace assent::kafka {

struct TopicPartition {
  std::string topic;
  std::int32_t partition = 0;

  friend bool operator<(const TopicPartition& left, const TopicPartition& right) {
    return std::tie(left.topic, left.partition) < std::tie(right.topic, right.partition);
  }
};

// What the leader of a partition says of the transactions that are open in it.
struct OpenTransactions {
  std::int16_t error_code = 0;  // NETWORK_EXCEPTION where it did not answer, LEADER_NOT_AVAILABLE where there is none
  std::vector<wire::DescribeProducersResponse::Producer> producers;  // who has one open
};

// Partitions that one request asks about: some hundred producers in each make an answer of some megabytes.
inline constexpr std::size_t kMostPartitionsOfARequest = 100;

// Asks the leader of each partition once; null: nobody leads it. `done` gets an entry for every one.
void FindOpenTransactions(const std::map<TopicPartition, Broker*>& leaders,
                          absl::AnyInvocable<void(std::map<TopicPartition, OpenTransactions>)> done);

}  // namespace assent::kafka
