#include "participants/kafka/cluster.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "participants/kafka/error_codes.h"
#include "participants/kafka/wire/produce_messages.h"
#include "participants/kafka/wire/transaction_messages.h"

namespace assent::kafka {
namespace {

constexpr std::string_view kTransactionVersion = "transaction.version";
constexpr std::int16_t kTransactionsV2 = 2;

// "host:port"; the last colon counts, and an IPv6 address stands in brackets.
Address ParseAddress(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos) return {.host = text, .port = "9092"};
  std::string host = text.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  return {.host = host, .port = text.substr(colon + 1)};
}

std::int16_t LevelOf(const wire::ApiVersionsResponse& versions, std::string_view feature) {
  for (const auto& finalized : versions.finalized) {
    if (finalized.name == feature) return finalized.level;
  }
  return 0;
}

v1::KafkaTransactionVersion TransactionsOf(const wire::ApiVersionsResponse& versions) {
  return LevelOf(versions, kTransactionVersion) >= kTransactionsV2 ? v1::KAFKA_TRANSACTION_V2
                                                                   : v1::KAFKA_TRANSACTION_V1;
}

struct NeededCall {
  wire::ApiKey key;
  std::int16_t version;
};

template <typename Request>
constexpr NeededCall Needed() {
  return {Request::kKey, Request::kVersion};
}

std::vector<NeededCall> NeededCalls(v1::KafkaTransactionVersion transactions) {
  std::vector<NeededCall> calls = {Needed<wire::MetadataRequest>(), Needed<wire::FindCoordinatorRequest>(),
                                   Needed<wire::InitProducerIdRequest>(), Needed<wire::DescribeTransactionsRequest>(),
                                   Needed<wire::ListTransactionsRequest>()};
  if (transactions == v1::KAFKA_TRANSACTION_V2) {
    calls.push_back({wire::ApiKey::kProduce, wire::ProduceRequest::kV2});
    calls.push_back({wire::ApiKey::kEndTxn, wire::EndTxnRequest::kV2});
  } else {
    calls.push_back({wire::ApiKey::kProduce, wire::ProduceRequest::kV1});
    calls.push_back({wire::ApiKey::kEndTxn, wire::EndTxnRequest::kV1});
    calls.push_back(Needed<wire::AddPartitionsToTxnRequest>());
  }
  return calls;
}

absl::Status CheckCalls(const wire::ApiVersionsResponse& versions) {
  for (const NeededCall& call : NeededCalls(TransactionsOf(versions))) {
    const auto range = std::find_if(versions.apis.begin(), versions.apis.end(),
                                    [&](const auto& api) { return api.key == static_cast<std::int16_t>(call.key); });
    const std::string name(wire::Name(call.key));
    if (range == versions.apis.end()) {
      return absl::FailedPreconditionError(absl::StrCat("the broker does not take ", name, "; Kafka 3.0 does"));
    }
    if (call.version < range->least || range->most < call.version) {
      return absl::FailedPreconditionError(absl::StrCat("the broker takes ", name, " in versions ", range->least,
                                                        " to ", range->most, ", not ", call.version));
    }
  }
  return absl::OkStatus();
}

}  // namespace

Cluster::Cluster(const KafkaOptions& options, Security security, const ParticipantContext& context)
    : options_(options),
      security_(std::move(security)),
      context_(context),
      client_id_(absl::StrCat("assent-", context.coordinator.ToString(), "-", context.epoch, "-", context.shard)),
      delayed_calls_(context.loop) {}

Cluster::~Cluster() = default;

void Cluster::Start(std::function<void()> returned, std::function<void()> lost) {
  returned_ = std::move(returned);
  lost_ = std::move(lost);
  StartBootstrap();
  RefreshByAge();
}

// ---- Brokers --------------------------------------------------------------------------------------------------------

std::unique_ptr<Broker> Cluster::MakeBroker(Address address, bool is_node) {
  Broker::Events events{.up = [this, is_node] { BrokerUp(is_node); },
                        .lost =
                            [this, is_node] {
                              if (is_node) NodeLost();
                            },
                        .down =
                            [this, is_node] {
                              if (is_node) BeTroubled();
                              BrokerDown();
                            }};
  // A bootstrap server is only asked who the brokers are.
  const int connections = is_node ? options_.connections_per_broker : 1;
  auto broker = std::make_unique<Broker>(context_.loop, options_, security_, client_id_, std::move(address),
                                         connections, std::move(events));
  broker->Connect();
  return broker;
}

void Cluster::StartBootstrap() {
  if (!bootstrap_.empty()) return;
  for (const std::string& server : options_.bootstrap_servers) {
    bootstrap_.push_back(MakeBroker(ParseAddress(server), /*is_node=*/false));
  }
}

void Cluster::BeTroubled() { troubled_until_ = context_.clock.Monotonic() + options_.trouble_lasts; }

void Cluster::NodeLost() {
  BeTroubled();
  lost_();
}

void Cluster::BrokerUp(bool is_node) {
  if (is_node) BeTroubled();
  std::vector<std::string> topics;
  for (const auto& [name, topic] : topics_) topics.push_back(name);
  // While it was away leaders and coordinators may have moved.
  coordinators_.clear();
  Refresh(std::move(topics), [this, is_node] {
    if (!is_node || !IsAnyNodeUp()) return;
    LearnTransactions();
    if (!std::exchange(up_, true)) {
      spdlog::info("participant \"{}\": Kafka can be reached: {}", options_.name, Describe());
      for (auto& broker : bootstrap_) Retire(std::move(broker));
      bootstrap_.clear();
    }
    returned_();
  });
}

bool Cluster::IsAnyNodeUp() const {
  return std::any_of(nodes_.begin(), nodes_.end(), [](const auto& node) { return node.second->is_up(); });
}

void Cluster::BrokerDown() {
  if (IsAnyNodeUp()) return Refresh({}, [] {});  // it may have left the cluster
  if (std::exchange(up_, false)) {
    spdlog::warn("{}", std::string(Check().message()));
  }
  // The brokers that are known may be gone for good.
  if (bootstrap_.empty())
    delayed_calls_.After(options_.first_reconnect, [this] {
      if (!up_) StartBootstrap();
    });
}

// A broker may be on the stack, in one of its own completions: it goes once that has returned.
void Cluster::Retire(std::unique_ptr<Broker> broker) {
  broker->GiveUp();
  retired_.push_back(std::move(broker));
  delayed_calls_.After(absl::ZeroDuration(), [this] { retired_.clear(); });
}

Broker* Cluster::AnyBroker() {
  // Another one each time: one that does not answer, and is not known to be away yet, is asked once.
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    auto next = nodes_.upper_bound(last_asked_);
    if (next == nodes_.end()) next = nodes_.begin();
    last_asked_ = next->first;
    if (next->second->is_up()) return next->second.get();
  }
  for (const auto& broker : bootstrap_) {
    if (broker->is_up()) return broker.get();
  }
  return nullptr;
}

Broker* Cluster::FindBroker(std::int32_t node) const {
  const auto found = nodes_.find(node);
  return found == nodes_.end() ? nullptr : found->second.get();
}

std::map<std::int32_t, Broker*> Cluster::Brokers() {
  std::map<std::int32_t, Broker*> brokers;
  for (const auto& [node, broker] : nodes_) brokers[node] = broker.get();
  return brokers;
}

absl::Status Cluster::Check() const {
  if (!up_) {
    std::string why;
    for (const auto& [node, broker] : nodes_) {
      if (!broker->is_up()) why = broker->last_failure();
    }
    for (const auto& broker : bootstrap_) {
      // One that is up may still end each connection as soon as it is asked something.
      if (why.empty() && (!broker->is_up() || broker->has_failed())) why = broker->last_failure();
    }
    if (why.empty()) why = "it has not said yet which brokers it has";
    return absl::UnavailableError(
        absl::StrCat("Kafka of participant \"", options_.name, "\" cannot be reached: ", why));
  }
  for (const auto& [node, broker] : nodes_) {
    if (!broker->is_up()) continue;
    if (const absl::Status status = CheckCalls(broker->versions()); !status.ok()) {
      return absl::FailedPreconditionError(absl::StrCat("participant \"", options_.name, "\", broker ", node, " (",
                                                        broker->address().ToString(),
                                                        "): ", std::string(status.message())));
    }
  }
  return absl::OkStatus();
}

std::string Cluster::Describe() const {
  const auto connected =
      std::count_if(nodes_.begin(), nodes_.end(), [](const auto& node) { return node.second->is_up(); });
  return absl::StrCat(connected, " of ", nodes_.size(), " brokers connected, transactions V",
                      static_cast<int>(transactions()));
}

void Cluster::LearnTransactions() {
  transactions_ = v1::KAFKA_TRANSACTION_V2;
  for (const auto& [node, broker] : nodes_) {
    if (broker->is_up() && TransactionsOf(broker->versions()) != v1::KAFKA_TRANSACTION_V2) {
      transactions_ = v1::KAFKA_TRANSACTION_V1;
    }
  }
}

// ---- Metadata -------------------------------------------------------------------------------------------------------

void Cluster::RefreshByAge() {
  delayed_calls_.After(options_.metadata_age, [this] {
    std::vector<std::string> topics;
    for (const auto& [name, topic] : topics_) topics.push_back(name);
    Refresh(std::move(topics), [] {});
    RefreshByAge();
  });
}

void Cluster::Refresh(std::vector<std::string> topics, absl::AnyInvocable<void()> done) {
  metadata_waiters_.push_back({.topics = std::move(topics), .done = std::move(done)});
  if (!asking_metadata_) AskMetadata();
}

// One question at a time: who comes meanwhile shares the next.
void Cluster::AskMetadata() {
  auto waiters = std::make_shared<std::vector<MetadataWaiter>>(std::exchange(metadata_waiters_, {}));
  std::set<std::string> topics;
  for (const MetadataWaiter& waiter : *waiters) topics.insert(waiter.topics.begin(), waiter.topics.end());
  wire::MetadataRequest request{.topics = {topics.begin(), topics.end()}};
  asking_metadata_ = true;
  auto answered = [this, waiters](Answer<wire::MetadataResponse> answer) {
    asking_metadata_ = false;
    if (answer.delivery == Delivery::kAnswered) Apply(answer.response);
    for (MetadataWaiter& waiter : *waiters) waiter.done();
    if (!asking_metadata_ && !metadata_waiters_.empty()) AskMetadata();
  };
  Broker* broker = AnyBroker();
  if (broker == nullptr) return answered({.delivery = Delivery::kNotSent});
  broker->Call(request, std::move(answered));
}

void Cluster::Apply(const wire::MetadataResponse& metadata) {
  // A broker that is starting may not know any yet.
  if (!metadata.brokers.empty()) ApplyBrokers(metadata.brokers);
  if (!metadata.cluster_id.empty()) id_ = metadata.cluster_id;
  for (const auto& found : metadata.topics) {
    if (topics_.size() >= options_.max_topics && !topics_.contains(found.name)) topics_.erase(topics_.begin());
    Topic& topic = topics_[found.name];
    topic.error_code = found.error_code;
    topic.is_internal = found.is_internal;
    topic.asked_at = context_.clock.Monotonic();
    topic.leaders.assign(found.partitions.size(), -1);
    for (const auto& partition : found.partitions) {
      const auto index = static_cast<std::size_t>(partition.index);
      if (partition.index >= 0 && index < topic.leaders.size()) topic.leaders[index] = partition.leader;
    }
  }
}

void Cluster::ApplyBrokers(const std::vector<wire::MetadataResponse::Broker>& brokers) {
  std::map<std::int32_t, std::unique_ptr<Broker>> before = std::exchange(nodes_, {});
  std::vector<std::pair<std::int32_t, Address>> added;
  for (const auto& found : brokers) {
    Address address{.host = found.host, .port = std::to_string(found.port)};
    const auto known = before.find(found.id);
    if (known != before.end() && known->second && known->second->address() == address) {
      nodes_[found.id] = std::move(known->second);
    } else {
      added.emplace_back(found.id, std::move(address));
    }
  }
  // A broker that falls silent may leave the cluster before its connections end.
  const bool one_is_gone =
      std::any_of(before.begin(), before.end(), [](const auto& node) { return node.second && node.second->is_up(); });
  if (one_is_gone) NodeLost();
  for (auto& [node, address] : added) nodes_[node] = MakeBroker(std::move(address), /*is_node=*/true);
  for (auto& [node, broker] : before) {
    if (broker) Retire(std::move(broker));
  }
}

// ---- Topics ---------------------------------------------------------------------------------------------------------

const Topic* Cluster::FindTopic(std::string_view name, std::int32_t partition) const {
  const auto found = topics_.find(std::string(name));
  if (found == topics_.end()) return nullptr;
  const Topic& topic = found->second;
  const absl::Duration age = context_.clock.Monotonic() - topic.asked_at;
  if (topic.error_code == error::kNone && topic.leaders.empty()) return nullptr;
  const bool has_it = topic.error_code == error::kNone && partition < static_cast<std::int64_t>(topic.leaders.size());
  return has_it || age <= options_.unknown_topic_age ? &topic : nullptr;
}

// Whether asking again could not change what is said about the topic.
bool Cluster::IsSettled(const WantedTopics::value_type& wanted) const {
  const Topic* topic = FindTopic(wanted.first, wanted.second);
  if (topic == nullptr) return false;
  return topic->error_code == error::kNone || topic->error_code == error::kUnknownTopicOrPartition ||
         FindErrorCode(topic->error_code).meaning == ErrorMeaning::kNo;
}

void Cluster::LookUp(WantedTopics topics, absl::Duration patience, absl::AnyInvocable<void(absl::Status)> done) {
  std::erase_if(topics, [this](const auto& topic) { return IsSettled(topic); });
  if (topics.empty()) return done(absl::OkStatus());
  if (patience <= absl::ZeroDuration()) {
    if (!up_) return done(Check());
    return done(absl::UnavailableError(absl::StrCat("participant \"", options_.name, "\": the partitions of topic \"",
                                                    topics.begin()->first, "\" could not be learnt in time")));
  }
  const absl::Duration asked_at = context_.clock.Monotonic();
  std::vector<std::string> names;
  for (const auto& [name, partition] : topics) names.push_back(name);
  Refresh(std::move(names), [this, topics = std::move(topics), patience, asked_at, done = std::move(done)]() mutable {
    if (std::all_of(topics.begin(), topics.end(), [this](const auto& topic) { return IsSettled(topic); })) {
      return done(absl::OkStatus());
    }
    const absl::Duration left = patience - (context_.clock.Monotonic() - asked_at);
    const absl::Duration pause = std::min(std::max(left, absl::ZeroDuration()), absl::Milliseconds(50));
    delayed_calls_.After(pause, [this, topics = std::move(topics), left, pause, done = std::move(done)]() mutable {
      LookUp(std::move(topics), left - pause, std::move(done));
    });
  });
}

Broker* Cluster::LeaderOf(const std::string& topic, std::int32_t partition) {
  const auto found = topics_.find(topic);
  if (found == topics_.end() || static_cast<std::size_t>(partition) >= found->second.leaders.size()) return nullptr;
  return FindBroker(found->second.leaders[static_cast<std::size_t>(partition)]);
}

// ---- Coordinators ---------------------------------------------------------------------------------------------------

Broker* Cluster::CoordinatorOf(const std::string& transactional_id) const {
  const auto found = coordinators_.find(transactional_id);
  return found == coordinators_.end() ? nullptr : FindBroker(found->second);
}

void Cluster::LookUpCoordinator(const std::string& transactional_id,
                                absl::AnyInvocable<void(Answer<wire::FindCoordinatorResponse>)> done) {
  Broker* broker = AnyBroker();
  if (broker == nullptr) return done({.delivery = Delivery::kNotSent, .message = std::string(Check().message())});
  broker->Call(
      wire::FindCoordinatorRequest{.transactional_id = transactional_id},
      [this, transactional_id, done = std::move(done)](Answer<wire::FindCoordinatorResponse> answer) mutable {
        if (answer.delivery != Delivery::kAnswered || answer.response.error_code != error::kNone) {
          return done(std::move(answer));
        }
        const std::int32_t node = answer.response.node;
        coordinators_[transactional_id] = node;
        if (FindBroker(node) != nullptr) return done(std::move(answer));
        // A broker that is new to us.
        Refresh({}, [this, transactional_id, answer = std::move(answer), done = std::move(done)]() mutable {
          if (FindBroker(answer.response.node) != nullptr) return done(std::move(answer));
          ForgetCoordinator(transactional_id);
          done({.delivery = Delivery::kNotSent,
                .message = absl::StrCat("broker ", answer.response.node, ", coordinator of transactional id \"",
                                        transactional_id, "\", is not in the cluster's metadata")});
        });
      });
}

}  // namespace assent::kafka
