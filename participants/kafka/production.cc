#include "participants/kafka/production.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "participants/kafka/coordinator_call.h"
#include "participants/kafka/error_codes.h"
#include "participants/kafka/wire/transaction_messages.h"

namespace assent::kafka {

std::shared_ptr<Production> Production::Start(Cluster& cluster, v1::KafkaToken transaction,
                                              std::vector<PartitionBatches> records, absl::Duration patience,
                                              Done done) {
  auto production =
      std::make_shared<Production>(cluster, std::move(transaction), std::move(records), patience, std::move(done));
  production->deadline_call_ = cluster.delayed_calls().After(patience, [weak = std::weak_ptr<Production>(production)] {
    if (const auto late = weak.lock()) late->DeadlinePassed();
  });
  if (production->transaction_.version() == v1::KAFKA_TRANSACTION_V1) {
    production->AddPartitions();
  } else {
    production->Step();
  }
  return production;
}

Production::Production(Cluster& cluster, v1::KafkaToken transaction, std::vector<PartitionBatches> records,
                       absl::Duration patience, Done done)
    : cluster_(cluster),
      transaction_(std::move(transaction)),
      deadline_(cluster.clock().Monotonic() + patience),
      partitions_left_(records.size()),
      done_(std::move(done)) {
  for (PartitionBatches& from : records) {
    Partition& partition = partitions_.emplace_back();
    partition.topic = std::move(from.topic);
    partition.index = from.partition;
    partition.batches = std::move(from.batches);
    partition.backoff = cluster.options().first_backoff;
  }
}

// What of it arrives late carries an epoch that the fencing of the id has ended by then.
void Production::AddPartitions() {
  wire::AddPartitionsToTxnRequest request{.transactional_id = transaction_.transactional_id(),
                                          .producer_id = transaction_.producer_id(),
                                          .epoch = static_cast<std::int16_t>(transaction_.epoch())};
  for (const auto& topic : transaction_.topics()) {
    request.topics.push_back({topic.topic(), {topic.partitions().begin(), topic.partitions().end()}});
  }
  broker_was_asked_ = true;
  CoordinatorCall<wire::AddPartitionsToTxnRequest>::Start(
      cluster_, std::move(request), {.patience = deadline_ - cluster_.clock().Monotonic()},
      [self = shared_from_this()](Answer<wire::AddPartitionsToTxnResponse> answer) {
        if (!self->done_) return;
        const std::int16_t code = answer.response.error_code;
        if (answer.delivery == Delivery::kAnswered && code == error::kNone) return self->Step();
        if (answer.delivery != Delivery::kAnswered) {
          // No broker can be reached: until the deadline one may be.
          self->last_error_ = {.code = absl::StatusCode::kUnavailable, .message = answer.message, .retryable = true};
          self->cluster_.delayed_calls().After(self->cluster_.options().last_backoff, [self] {
            if (self->done_) self->AddPartitions();
          });
          return;
        }
        BranchError error = ErrorOfCode(
            code, absl::StrCat("participant \"", self->cluster_.options().name, "\", topic \"", answer.response.topic,
                               "\", partition ", answer.response.partition, ", AddPartitionsToTxn"));
        self->End({.kind = Produced::Kind::kRefused, .error = std::move(error)});
      });
}

// Sends what is due.
void Production::Step() {
  if (!done_ || is_held_) return;
  if (partitions_left_ == 0) return End({.kind = Produced::Kind::kAcknowledged});
  std::map<Broker*, Group> groups;
  for (std::size_t i = 0; i < partitions_.size(); ++i) {
    Partition& partition = partitions_[i];
    if (partition.in_flight || partition.waits || partition.next == partition.batches.size()) continue;
    Broker* leader = cluster_.LeaderOf(partition.topic, partition.index);
    if (leader != nullptr) {
      groups[leader].push_back(i);
    } else {
      AskForLeader(i);
    }
  }
  for (const auto& [leader, group] : groups) {
    if (done_) Send(*leader, group);
  }
}

void Production::Send(Broker& broker, const Group& group) {
  const bool is_v1 = transaction_.version() == v1::KAFKA_TRANSACTION_V1;
  wire::ProduceRequest request{.version = is_v1 ? wire::ProduceRequest::kV1 : wire::ProduceRequest::kV2,
                               .transactional_id = transaction_.transactional_id()};
  const absl::Duration left = deadline_ - cluster_.clock().Monotonic();
  request.timeout_ms = static_cast<std::int32_t>(std::clamp<std::int64_t>(
      absl::ToInt64Milliseconds(std::min(left, cluster_.options().request_timeout)), 1, INT32_MAX));
  for (const std::size_t i : group) {
    Partition& partition = partitions_[i];
    partition.in_flight = true;
    request.partitions.push_back(
        {.topic = partition.topic, .index = partition.index, .batch = partition.batches[partition.next]});
  }
  broker.Call(request, [self = shared_from_this(), group](Answer<wire::ProduceResponse> answer) {
    self->Judge(group, std::move(answer));
  });
}

void Production::Judge(const Group& group, Answer<wire::ProduceResponse> answer) {
  if (answer.delivery != Delivery::kNotSent) broker_was_asked_ = true;
  if (!done_) return;
  for (const std::size_t i : group) {
    if (!done_) return;
    Partition& partition = partitions_[i];
    partition.in_flight = false;
    if (answer.delivery != Delivery::kAnswered) {
      if (answer.delivery == Delivery::kLost) partition.may_be_written = true;
      Pause(i, {.code = absl::StatusCode::kUnavailable, .message = answer.message, .retryable = true});
      // The leader may be another by now.
      AskForLeader(i);
      continue;
    }
    const auto& answers = answer.response.partitions;
    const auto found = std::find_if(answers.begin(), answers.end(), [&](const auto& candidate) {
      return candidate.index == partition.index && candidate.topic == partition.topic;
    });
    if (found != answers.end()) {
      JudgePartition(i, *found);
    } else {
      partition.may_be_written = true;
      Pause(i, {.code = absl::StatusCode::kUnavailable,
                .message = absl::StrCat("the broker's answer says nothing of partition ", partition.index,
                                        " of topic \"", partition.topic, "\""),
                .retryable = true});
    }
  }
  Step();
}

void Production::JudgePartition(std::size_t i, const wire::ProduceResponse::Partition& answer) {
  Partition& partition = partitions_[i];
  const ErrorCode& code = FindErrorCode(answer.error_code);
  const auto error = [&] {
    return ErrorOfCode(
        answer.error_code,
        absl::StrCat("participant \"", cluster_.options().name, "\", topic \"", partition.topic, "\", partition ",
                     partition.index, ", a batch of ", partition.batches[partition.next].size(), " bytes"),
        answer.error_message);
  };
  switch (code.meaning) {
    case ErrorMeaning::kDone:
      partition.may_be_written = false;
      partition.backoff = cluster_.options().first_backoff;
      partition.batches[partition.next].clear();
      if (++partition.next == partition.batches.size()) --partitions_left_;
      return;
    case ErrorMeaning::kUnknown:
      partition.may_be_written = true;
      return Pause(i, error());
    case ErrorMeaning::kRetry:
      Pause(i, error());
      if (code.refresh == Refresh::kLeader) AskForLeader(i);
      return;
    case ErrorMeaning::kNo:
    case ErrorMeaning::kFatal:
      return End({.kind = Produced::Kind::kRefused, .error = error()});
  }
}

void Production::Pause(std::size_t i, BranchError why) {
  Partition& partition = partitions_[i];
  last_error_ = std::move(why);
  partition.waits = true;
  cluster_.delayed_calls().After(partition.backoff, [self = shared_from_this(), i] {
    self->partitions_[i].waits = false;
    self->Step();
  });
  partition.backoff = std::min(partition.backoff * 2, cluster_.options().last_backoff);
}

// Looks the leader up while the partition pauses; a topic that is gone refuses the production.
void Production::AskForLeader(std::size_t i) {
  if (!partitions_[i].waits) {
    Pause(i, {.code = absl::StatusCode::kUnavailable,
              .message = absl::StrCat("partition ", partitions_[i].index, " of topic \"", partitions_[i].topic,
                                      "\" at participant \"", cluster_.options().name, "\" has no leader now"),
              .retryable = true});
  }
  const std::string topic = partitions_[i].topic;
  cluster_.Refresh({topic}, [weak = weak_from_this(), topic] {
    const auto self = weak.lock();
    if (!self || !self->done_) return;
    const Topic* known = self->cluster_.FindTopic(topic);
    if (known == nullptr || known->error_code != error::kUnknownTopicOrPartition) return;
    BranchError error = ErrorOfCode(known->error_code, absl::StrCat("topic \"", topic, "\" of participant \"",
                                                                    self->cluster_.options().name, "\" was deleted"));
    error.code = absl::StatusCode::kNotFound;
    error.retryable = false;
    self->End({.kind = Produced::Kind::kRefused, .error = std::move(error)});
  });
}

// ---- Ending ---------------------------------------------------------------------------------------------------------

void Production::DeadlinePassed() {
  if (!done_) return;
  const bool is_unknown = std::any_of(partitions_.begin(), partitions_.end(), [](const Partition& partition) {
    return partition.in_flight || partition.may_be_written;
  });
  BranchError error = last_error_;
  if (error.message.empty()) error.message = "no answer from Kafka";
  error.message = absl::StrCat("not all records were acknowledged before the transaction's deadline: ", error.message);
  error.code = absl::StatusCode::kUnavailable;
  error.retryable = true;
  End({.kind = is_unknown ? Produced::Kind::kUnknown : Produced::Kind::kRefused, .error = std::move(error)});
}

void Production::Resume() {
  is_held_ = false;
  Step();
}

void Production::Cancel(BranchError why) {
  if (done_) End({.kind = Produced::Kind::kRefused, .error = std::move(why)});
}

void Production::End(Produced produced) {
  DelayedCalls::Cancel(deadline_call_);
  const bool in_flight = std::any_of(partitions_.begin(), partitions_.end(),
                                     [](const Partition& partition) { return partition.in_flight; });
  produced.broker_was_asked = broker_was_asked_ || in_flight;
  std::exchange(done_, nullptr)(std::move(produced));
}

}  // namespace assent::kafka
