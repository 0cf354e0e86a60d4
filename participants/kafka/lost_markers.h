#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "assent/v1/token.pb.h"
#include "participants/kafka/cluster.h"
#include "participants/kafka/open_transactions.h"
#include "participants/kafka/transactional_id_pool.h"
#include "participants/kafka/wire/transaction_messages.h"

namespace assent::kafka {

// A transaction that its coordinator has taken to its end, or is about to.
struct EndedTransaction {
  std::uint32_t number = 0;  // of its transactional id
  std::string transactional_id;
  std::int64_t producer_id = -1;
  std::int32_t epoch = -1;  // of its records
  std::set<TopicPartition> partitions;
  bool has_successor = false;  // what is open at a later epoch is the next transaction of the id
  // Which may be open, or begin at any time: a second transaction would be one with it, and end it. Nothing is written
  // before the id has been fenced.
  bool successor_may_run = false;
  // How it was decided. Nothing: nobody here knows, and the coordinator's state tells it if its epochs fit.
  std::optional<bool> committed;
};

std::set<TopicPartition> PartitionsOf(const v1::KafkaToken& token);

EndedTransaction EndedAs(const v1::KafkaToken& token, std::uint32_t number, std::int32_t epoch, bool committed);

enum class Markers : std::uint8_t {
  kSeen,          // each partition has one, or is gone, or does not let us look
  kWrittenAgain,  // as above, but Kafka had lost one: the id is to be fenced before it is used again
  kLost,          // Kafka had lost one, and none is written while its successor may run: it is remembered as doubtful
  kUnexplained,   // a transaction is open that is not as it should be: logged, and left to an operator
};

// Sees to it that ended transactions have their markers in their partitions, which Kafka may lose where brokers are
// away (docs/adr/0011). While an id is checked nobody begins a transaction under it, or fences it; of several checks of
// one id each waits for those before it.
//
//   looking --no transaction is open there--> seen
//    ^  |  ^
//    |  |  +--it is being ended--------------------------------+
//    |  +--one is still open--> asking its coordinator --------+--> unexplained
//    |                                  |
//    |                                  +--it has ended--> looking --still open: lost--+
//    |                                                                                 v
//    +------------------------------ writing: AddPartitionsToTxn, EndTxn (transactions V1)
//
// Where the next transaction of the id may run, nothing is written: lost (kLost). The ids that are checked share their
// looks: one at a time, with a pause behind it.
//
// Owned by the participant, used on the shard's thread. The cluster outlives it.
class LostMarkers {
 public:
  using Done = absl::AnyInvocable<void(Markers)>;

  explicit LostMarkers(Cluster& cluster);

  // Ends only with a verdict, whatever time that takes: the broker may be away.
  void Check(EndedTransaction transaction, Done done);
  bool IsChecking(std::uint32_t number) const { return LastOf(number) != nullptr; }
  // For somebody else who waits for the verdict of the last check, so long: nothing if there is none by then.
  void Await(std::uint32_t number, absl::Duration patience, absl::AnyInvocable<void(std::optional<Markers>)> done);

  // Remembers the last transaction of an id, whose markers are on their way. They become doubtful when a broker is lost
  // before they arrive; those that begin their way in troubled times are doubtful at once, unless leaders have them
  // already, which may still crash before their followers have them too. The one before it stays remembered where it is
  // doubtful.
  void Remember(EndedTransaction transaction, bool leaders_have_markers = false);
  std::vector<std::uint32_t> DoubtAll();  // the ids, by number
  bool IsDoubtful(std::uint32_t number) const;
  // The first that is doubtful, for somebody who checks it. Forgets all where none is.
  std::optional<EndedTransaction> TakeDoubtful(std::uint32_t number);
  // All its markers are there.
  void Forget(std::uint32_t number) { remembered_.erase(number); }

  std::size_t written_again() const { return written_again_; }

 private:
  enum class Phase : std::uint8_t { kLooking, kAsking, kWriting };
  struct Waiting {
    absl::AnyInvocable<void(std::optional<Markers>)> done;
    DelayedCalls::Handle deadline;
  };
  struct Suspect {
    EndedTransaction transaction;  // with the partitions that no marker was seen in
    Done done;
    std::list<std::shared_ptr<Waiting>> waiting;             // for the verdict, and no longer than they want to
    std::map<TopicPartition, absl::Duration> unknown_since;  // partitions that nobody knows any more
    absl::Duration ask_after;  // on the monotonic clock: before, its markers may be on their way
    Phase phase = Phase::kLooking;
    bool has_ended = false;      // its coordinator says so
    std::string does_not_fit;    // what its coordinator says, where nobody can tell from it what is to be done
    ProducerSession ended;       // and what the id has had since
    bool is_looked_for = false;  // by the look under way
    bool had_ended = false;      // before that look began
    bool writes = false;         // a second transaction of the id, under `ended`, may be open
    bool was_written = false;
  };
  using SuspectPtr = std::shared_ptr<Suspect>;
  SuspectPtr LastOf(std::uint32_t number) const;

  // The partitions where it is open.
  using Open = std::vector<TopicPartition>;

  void Look();
  void Judge(const SuspectPtr& suspect, const std::map<TopicPartition, OpenTransactions>& found);
  bool HasMarker(Suspect& suspect, const TopicPartition& partition, const OpenTransactions& found);
  bool IsUnknown(const TopicPartition& partition) const;
  void Ask(const SuspectPtr& suspect);
  void JudgeState(const SuspectPtr& suspect, const wire::DescribeTransactionsResponse& found);
  void WriteAgain(const SuspectPtr& suspect, const Open& open);
  void EndAgain(const SuspectPtr& suspect);
  bool Fits(EndedTransaction& transaction, const wire::DescribeTransactionsResponse& found) const;
  void Postpone(const SuspectPtr& suspect);
  void LeaveToOperator(const SuspectPtr& suspect, const std::string& why);
  void End(const SuspectPtr& suspect, Markers markers);

  Cluster& cluster_;
  std::list<SuspectPtr> checks_;  // in order of arrival
  struct Remembered {
    EndedTransaction transaction;
    bool is_doubtful = false;
  };
  absl::flat_hash_map<std::uint32_t, std::vector<Remembered>> remembered_;  // by number, in order: two at most
  bool looking_ = false;
  bool pausing_ = false;
  absl::Duration pause_;
  bool has_warned_ = false;  // that it may not look
  std::size_t written_again_ = 0;
};

}  // namespace assent::kafka
