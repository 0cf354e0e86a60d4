#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "assent/v1/token.pb.h"
#include "participants/kafka/broker.h"
#include "participants/kafka/delayed_calls.h"
#include "participants/kafka/kafka_options.h"
#include "participants/participant_context.h"

namespace assent::kafka {

// What is known of a topic.
struct Topic {
  std::int16_t error_code = 0;        // 0: it exists
  bool is_internal = false;           // Kafka's own
  std::vector<std::int32_t> leaders;  // of its partitions; -1: none now
  absl::Duration asked_at;            // on the monotonic clock
};

// Topics that records are for, with the highest partition that any of them names; -1: none does.
using WantedTopics = std::map<std::string, std::int32_t>;

// A Kafka cluster as one shard sees it: its brokers, the leaders of the partitions in use, and the coordinators of the
// transactional ids. It finds the cluster by the bootstrap servers, and again whenever no broker can be reached.
//
// Owned by the participant, used on the shard's thread.
class Cluster {
 public:
  // The context outlives it. The options are copied.
  Cluster(const KafkaOptions& options, Security security, const ParticipantContext& context);
  ~Cluster();

  // Connects. `returned` runs each time that a broker can be reached after it could not, the first time included;
  // `lost` each time that one cannot be any more, or has left the cluster.
  void Start(std::function<void()> returned, std::function<void()> lost);

  bool is_up() const { return up_; }
  // Why it is not up, or what the cluster lacks for transactions; OK: nothing.
  absl::Status Check() const;
  std::string Describe() const;  // "2 of 3 brokers connected, transactions V2"

  // A broker was lost or found a short while ago: Kafka may be losing markers (docs/adr/0011).
  bool IsTroubled() const { return context_.clock.Monotonic() < troubled_until_; }

  // How the cluster's transactions are made: V2 (KIP-890) where every broker has it and the cluster's feature
  // transaction.version switches it on. As it was last known, while no broker can be reached.
  v1::KafkaTransactionVersion transactions() const { return transactions_; }

  // ---- Topics ----

  // What is known, as far as it is fresh; null otherwise. A topic may have grown since it had no such partition.
  const Topic* FindTopic(std::string_view name, std::int32_t partition = -1) const;

  // Learns about topics that FindTopic() does not know, for at most `patience`. OK: each is known now, or known not to
  // exist.
  void LookUp(WantedTopics topics, absl::Duration patience, absl::AnyInvocable<void(absl::Status)> done);

  // Asks again about topics, whatever is known; `done` runs when there was an answer, or could be none.
  void Refresh(std::vector<std::string> topics, absl::AnyInvocable<void()> done);

  // Who leads a partition; null where nobody does, or nobody that is known.
  Broker* LeaderOf(const std::string& topic, std::int32_t partition);

  // ---- Brokers ----

  Broker* AnyBroker();                          // one that is up, or null
  std::map<std::int32_t, Broker*> Brokers();    // every one of the cluster; empty before the first answer
  Broker* FindBroker(std::int32_t node) const;  // null: not of this cluster now

  // ---- Coordinators ----

  Broker* CoordinatorOf(const std::string& transactional_id) const;  // null: to be looked up
  void ForgetCoordinator(const std::string& transactional_id) { coordinators_.erase(transactional_id); }
  // Looks the coordinator up once. After an answer without an error code CoordinatorOf() has it.
  void LookUpCoordinator(const std::string& transactional_id,
                         absl::AnyInvocable<void(Answer<wire::FindCoordinatorResponse>)> done);

  const KafkaOptions& options() const { return options_; }
  const std::string& id() const { return id_; }  // the cluster's own; empty: no broker has said it yet
  const Clock& clock() const { return context_.clock; }
  DelayedCalls& delayed_calls() { return delayed_calls_; }

 private:
  struct MetadataWaiter {
    std::vector<std::string> topics;
    absl::AnyInvocable<void()> done;
  };

  std::unique_ptr<Broker> MakeBroker(Address address, bool is_node);
  void StartBootstrap();
  void BrokerUp(bool is_node);
  void BeTroubled();
  void NodeLost();
  bool IsAnyNodeUp() const;
  void LearnTransactions();
  void BrokerDown();
  void Retire(std::unique_ptr<Broker> broker);
  void RefreshByAge();
  void AskMetadata();
  void Apply(const wire::MetadataResponse& metadata);
  void ApplyBrokers(const std::vector<wire::MetadataResponse::Broker>& brokers);
  bool IsSettled(const WantedTopics::value_type& topic) const;

  const KafkaOptions options_;
  const Security security_;
  const ParticipantContext context_;
  const std::string client_id_;
  std::function<void()> returned_;
  std::function<void()> lost_;
  absl::Duration troubled_until_;  // on the monotonic clock
  DelayedCalls delayed_calls_;

  std::vector<std::unique_ptr<Broker>> bootstrap_;
  std::map<std::int32_t, std::unique_ptr<Broker>> nodes_;
  std::vector<std::unique_ptr<Broker>> retired_;
  bool up_ = false;
  std::string id_;
  std::int32_t last_asked_ = -1;  // node
  v1::KafkaTransactionVersion transactions_ = v1::KAFKA_TRANSACTION_V2;

  absl::flat_hash_map<std::string, Topic> topics_;
  absl::flat_hash_map<std::string, std::int32_t> coordinators_;

  bool asking_metadata_ = false;
  std::vector<MetadataWaiter> metadata_waiters_;
};

}  // namespace assent::kafka
