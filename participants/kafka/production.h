#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "assent/v1/token.pb.h"
#include "participants/kafka/cluster.h"
#include "participants/kafka/record_buffer.h"
#include "participants/kafka/wire/produce_messages.h"
#include "participants/participant.h"

namespace assent::kafka {

// How producing the records of a branch ended.
struct Produced {
  enum class Kind {
    kAcknowledged,  // every record is written by every in-sync replica
    kRefused,       // not all of them, and none can come later but those that were sent
    kUnknown,       // no answer about some of them by the deadline
  };
  Kind kind = Kind::kUnknown;
  BranchError error;              // where not acknowledged
  bool broker_was_asked = false;  // the transaction may be open
};

// Produces the records of one branch in one Kafka transaction, after a transaction of V1 has been opened by
// AddPartitionsToTxn: to every leader in parallel, the batches of a partition
// one after the other. A batch whose answer is lost is sent again with the sequence it had, which the leader recognises
// (idempotent producer, KIP-98), on whatever connection there is, until the deadline.
//
//   due --Produce--> in flight --acknowledged--> next batch is due, or the partition is done
//    ^                 |   |
//    +--- after a pause, where the answer may be repeated or is lost
//                      +--refused: the whole production is
//
// Keeps itself alive through its requests and pauses until it has ended; used on the shard's thread. The cluster
// outlives it.
class Production : public std::enable_shared_from_this<Production> {
 public:
  using Done = absl::AnyInvocable<void(Produced)>;

  // `transaction` says under which id, producer and epoch, and of which version it is.
  static std::shared_ptr<Production> Start(Cluster& cluster, v1::KafkaToken transaction,
                                           std::vector<PartitionBatches> records, absl::Duration patience, Done done);

  // Sends nothing until Resume().
  void Hold() { is_held_ = true; }
  void Resume();

  // Ends it at once, as refused: what was sent may still arrive.
  void Cancel(BranchError why);

  Production(Cluster& cluster, v1::KafkaToken transaction, std::vector<PartitionBatches> records,
             absl::Duration patience, Done done);

 private:
  struct Partition {
    std::string topic;
    std::int32_t index = 0;
    std::vector<std::string> batches;
    std::size_t next = 0;         // batch to be acknowledged
    bool in_flight = false;       // it is sent and not answered
    bool waits = false;           // for a pause to pass
    bool may_be_written = false;  // it was sent, and whether it was written is not known
    absl::Duration backoff;
  };
  using Group = std::vector<std::size_t>;  // of partitions that one broker leads

  void AddPartitions();
  void Step();
  void Send(Broker& broker, const Group& group);
  void Judge(const Group& group, Answer<wire::ProduceResponse> answer);
  void JudgePartition(std::size_t i, const wire::ProduceResponse::Partition& answer);
  void Pause(std::size_t i, BranchError why);
  void AskForLeader(std::size_t i);
  void DeadlinePassed();
  void End(Produced produced);

  Cluster& cluster_;
  const v1::KafkaToken transaction_;
  const absl::Duration deadline_;  // on the monotonic clock
  std::vector<Partition> partitions_;
  std::size_t partitions_left_;
  BranchError last_error_;
  DelayedCalls::Handle deadline_call_;
  bool broker_was_asked_ = false;
  bool is_held_ = false;
  Done done_;  // null: it has ended
};

}  // namespace assent::kafka
