#include "participants/kafka/open_transactions.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "participants/kafka/error_codes.h"

namespace assent::kafka {
namespace {

struct Search {
  std::map<TopicPartition, OpenTransactions> found;
  std::size_t outstanding = 1;  // answers, and the end of the asking
  absl::AnyInvocable<void(std::map<TopicPartition, OpenTransactions>)> done;

  void OneIsHere() {
    if (--outstanding == 0) done(std::move(found));
  }
};

wire::DescribeProducersRequest RequestFor(const std::vector<TopicPartition>& partitions) {
  wire::DescribeProducersRequest request;
  for (const TopicPartition& partition : partitions) {
    if (request.topics.empty() || request.topics.back().name != partition.topic) {
      request.topics.push_back({.name = partition.topic});
    }
    request.topics.back().partitions.push_back(partition.partition);
  }
  return request;
}

void Collect(const wire::DescribeProducersResponse& answer, std::map<TopicPartition, OpenTransactions>& found) {
  for (const auto& topic : answer.topics) {
    for (const auto& partition : topic.partitions) {
      const auto asked = found.find({topic.name, partition.index});
      if (asked == found.end()) continue;
      asked->second.error_code = partition.error_code;
      for (const auto& producer : partition.producers) {
        if (producer.open_from_offset >= 0) asked->second.producers.push_back(producer);
      }
    }
  }
}

}  // namespace

void FindOpenTransactions(const std::map<TopicPartition, Broker*>& leaders,
                          absl::AnyInvocable<void(std::map<TopicPartition, OpenTransactions>)> done) {
  auto search = std::make_shared<Search>();
  search->done = std::move(done);
  std::map<Broker*, std::vector<TopicPartition>> by_leader;
  for (const auto& [partition, leader] : leaders) {
    search->found[partition].error_code = leader == nullptr ? error::kLeaderNotAvailable : error::kNetworkException;
    if (leader != nullptr) by_leader[leader].push_back(partition);
  }
  for (const auto& [leader, partitions] : by_leader) {
    for (std::size_t first = 0; first < partitions.size(); first += kMostPartitionsOfARequest) {
      const auto begin = partitions.begin() + static_cast<std::ptrdiff_t>(first);
      const std::size_t count = std::min(kMostPartitionsOfARequest, partitions.size() - first);
      ++search->outstanding;
      leader->Call(RequestFor({begin, begin + static_cast<std::ptrdiff_t>(count)}),
                   [search](const Answer<wire::DescribeProducersResponse>& answer) {
                     if (answer.delivery == Delivery::kAnswered) Collect(answer.response, search->found);
                     search->OneIsHere();
                   });
    }
  }
  search->OneIsHere();
}

}  // namespace assent::kafka
