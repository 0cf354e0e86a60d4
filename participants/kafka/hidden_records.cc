#include "participants/kafka/hidden_records.h"

#include <algorithm>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "participants/kafka/error_codes.h"
#include "participants/kafka/wire/offset_messages.h"

namespace assent::kafka {
namespace {

// Keeps itself alive through its requests; used on the shard's thread.
class Measurement : public std::enable_shared_from_this<Measurement> {
 public:
  Measurement(Cluster& cluster, const std::set<TopicPartition>& partitions, Participant::HiddenDone done)
      : cluster_(cluster), is_partial_(partitions.size() > kMostPartitionsMeasured), done_(std::move(done)) {
    for (const TopicPartition& partition : partitions) {
      if (ends_.size() == kMostPartitionsMeasured) break;
      ends_.try_emplace(partition);
    }
  }

  void Start() {
    deadline_ = cluster_.delayed_calls().After(kMeasuringTakes, [self = shared_from_this()] { self->Finish(); });
    WantedTopics topics;
    for (const auto& [partition, ends] : ends_) {
      std::int32_t& highest = topics.try_emplace(partition.topic, partition.partition).first->second;
      highest = std::max(highest, partition.partition);
    }
    cluster_.LookUp(std::move(topics), kMeasuringTakes,
                    [self = shared_from_this()](const absl::Status&) { self->AskLeaders(); });
  }

 private:
  struct Ends {
    std::int64_t stable = -1;  // the last stable offset; -1: not known
    std::int64_t high = -1;    // the high watermark, likewise
  };

  void AskLeaders() {
    if (!done_) return;
    std::map<Broker*, std::vector<TopicPartition>> by_leader;
    for (const auto& [partition, ends] : ends_) {
      Broker* const leader = cluster_.LeaderOf(partition.topic, partition.partition);
      if (leader != nullptr) by_leader[leader].push_back(partition);
    }
    for (const auto& [leader, partitions] : by_leader) {
      for (std::size_t first = 0; first < partitions.size(); first += kMostPartitionsOfARequest) {
        const std::size_t count = std::min(kMostPartitionsOfARequest, partitions.size() - first);
        Ask(*leader, std::span(partitions).subspan(first, count));
      }
    }
    OneIsHere();
  }

  void Ask(Broker& leader, std::span<const TopicPartition> partitions) {
    wire::ListOffsetsRequest request;
    for (const auto& [topic, partition] : partitions) {
      if (request.topics.empty() || request.topics.back().name != topic) request.topics.push_back({.name = topic});
      request.topics.back().partitions.push_back(partition);
    }
    for (const bool read_committed : {true, false}) {
      request.read_committed = read_committed;
      ++outstanding_;
      leader.Call(request,
                  [self = shared_from_this(), read_committed](const Answer<wire::ListOffsetsResponse>& answer) {
                    if (answer.delivery == Delivery::kAnswered) self->Collect(answer.response, read_committed);
                    self->OneIsHere();
                  });
    }
  }

  void Collect(const wire::ListOffsetsResponse& answer, bool read_committed) {
    for (const auto& topic : answer.topics) {
      for (const auto& partition : topic.partitions) {
        const auto asked = ends_.find({topic.name, partition.index});
        if (asked == ends_.end() || partition.error_code != error::kNone) continue;
        (read_committed ? asked->second.stable : asked->second.high) = partition.offset;
      }
    }
  }

  void OneIsHere() {
    if (--outstanding_ == 0) Finish();
  }

  void Finish() {
    if (!done_) return;
    DelayedCalls::Cancel(deadline_);
    Hidden hidden{.is_partial = is_partial_};
    std::set<std::string> lost_sight_of;
    for (const auto& [partition, ends] : ends_) {
      if (ends.stable < 0 || ends.high < 0) {
        lost_sight_of.insert(partition.topic);
        continue;
      }
      // The two were not asked for at one moment.
      const std::int64_t records = std::max<std::int64_t>(0, ends.high - ends.stable);
      if (records <= hidden.records) continue;
      hidden.records = records;
      hidden.place = absl::StrCat(partition.topic, "[", partition.partition, "]");
    }
    if (!lost_sight_of.empty()) {
      hidden.is_partial = true;
      cluster_.Refresh({lost_sight_of.begin(), lost_sight_of.end()}, [] {});  // for whoever asks again
    }
    std::exchange(done_, nullptr)(std::move(hidden));
  }

  Cluster& cluster_;
  std::map<TopicPartition, Ends> ends_;
  const bool is_partial_;
  std::size_t outstanding_ = 1;  // answers, and the end of the asking
  DelayedCalls::Handle deadline_;
  Participant::HiddenDone done_;
};

}  // namespace

void MeasureHidden(Cluster& cluster, const std::set<TopicPartition>& partitions, Participant::HiddenDone done) {
  if (partitions.empty()) return done({});
  std::make_shared<Measurement>(cluster, partitions, std::move(done))->Start();
}

}  // namespace assent::kafka
