#include "participants/kafka/left_behind.h"

#include <spdlog/spdlog.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "participants/kafka/error_codes.h"

namespace assent::kafka {

void LeftBehind::Start(Cluster& cluster, LostMarkers& markers, std::vector<LeftBehindId> ids,
                       MayBeFenced may_be_fenced) {
  std::make_shared<LeftBehind>(cluster, markers, std::move(ids), std::move(may_be_fenced))->FindTopics();
}

LeftBehind::LeftBehind(Cluster& cluster, LostMarkers& markers, std::vector<LeftBehindId> ids, MayBeFenced may_be_fenced)
    : cluster_(cluster),
      markers_(markers),
      until_(cluster.clock().Monotonic() + cluster.options().finish_timeout),
      may_be_fenced_(std::move(may_be_fenced)) {
  for (LeftBehindId& id : ids) {
    const std::uint32_t number = id.number;
    const std::int64_t producer_id = id.producer_id;
    if (!ids_.emplace(producer_id, std::move(id)).second) others_.push_back(number);
  }
}

void LeftBehind::FindTopics() {
  Broker* broker = cluster_.AnyBroker();
  if (broker == nullptr) return Again(std::string(cluster_.Check().message()));
  broker->Call(wire::MetadataRequest{.all_topics = true},
               [self = shared_from_this()](const Answer<wire::MetadataResponse>& answer) {
                 if (answer.delivery != Delivery::kAnswered) return self->Again(answer.message);
                 self->Look(answer.response);
               });
}

void LeftBehind::Look(const wire::MetadataResponse& metadata) {
  if (metadata.brokers.empty()) return Again("a broker that is starting does not know the cluster yet");
  std::map<TopicPartition, Broker*> leaders;
  for (const auto& topic : metadata.topics) {
    if (topic.is_internal) continue;
    for (const auto& partition : topic.partitions) {
      const TopicPartition name{.topic = topic.name, .partition = partition.index};
      if (!seen_.contains(name)) leaders[name] = cluster_.FindBroker(partition.leader);
    }
  }
  FindOpenTransactions(leaders, [self = shared_from_this()](const std::map<TopicPartition, OpenTransactions>& found) {
    self->Collect(found);
  });
}

void LeftBehind::Collect(const std::map<TopicPartition, OpenTransactions>& found) {
  std::string missing;
  for (const auto& [partition, transactions] : found) {
    const ErrorCode& code = FindErrorCode(transactions.error_code);
    if (code.meaning == ErrorMeaning::kRetry || code.meaning == ErrorMeaning::kUnknown) {
      missing = absl::StrCat("partition ", partition.partition, " of topic \"", partition.topic,
                             "\": ", std::string(code.why));
      continue;
    }
    // A topic that does not let us look may be one that we never write to: LostMarkers warns of those that we do.
    seen_.insert(partition);
    for (const auto& producer : transactions.producers) {
      if (ids_.contains(producer.producer_id)) open_[producer.producer_id][producer.epoch].insert(partition);
    }
  }
  if (missing.empty()) return Release();
  Again(missing);
}

void LeftBehind::Again(const std::string& why) {
  if (cluster_.clock().Monotonic() < until_) {
    return cluster_.Refresh({}, [self = shared_from_this()] {
      self->cluster_.delayed_calls().After(self->cluster_.options().last_backoff, [self] { self->FindTopics(); });
    });
  }
  spdlog::warn(
      "participant \"{}\": whether Kafka has lost markers of an earlier process' transactions could not be looked at "
      "everywhere in {}, and its ids are fenced all the same; {}. kafka-transactions.sh find-hanging shows what is "
      "left",
      cluster_.options().name, absl::FormatDuration(cluster_.options().finish_timeout), why);
  Release();
}

void LeftBehind::Release() {
  for (const std::uint32_t number : others_) may_be_fenced_(number, Markers::kSeen);
  for (const auto& [producer_id, id] : ids_) {
    const auto open = open_.find(producer_id);
    if (open == open_.end()) {
      may_be_fenced_(id.number, Markers::kSeen);
      continue;
    }
    // Of several epochs the last is that of the last transaction.
    const auto& [epoch, partitions] = *open->second.rbegin();
    EndedTransaction transaction{.number = id.number,
                                 .transactional_id = id.transactional_id,
                                 .producer_id = producer_id,
                                 .epoch = epoch,
                                 .partitions = partitions};
    if (id.state == "Ongoing") {
      transaction.committed = false;  // by the fencing
      markers_.Remember(std::move(transaction));
      may_be_fenced_(id.number, Markers::kSeen);
      continue;
    }
    markers_.Check(std::move(transaction), [self = shared_from_this(), number = id.number](Markers verdict) {
      self->may_be_fenced_(number, verdict);
    });
  }
}

}  // namespace assent::kafka
