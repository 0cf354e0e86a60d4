#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "assent/v1/token.pb.h"
#include "participants/kafka/cluster.h"
#include "participants/kafka/lost_markers.h"
#include "participants/kafka/production.h"
#include "participants/kafka/transactional_id_pool.h"
#include "participants/kafka/wire/transaction_messages.h"
#include "participants/participant.h"

namespace assent::kafka {

// How one attempt to end a transaction went.
struct Ended {
  Finish finish;
  ProducerSession session;  // that its records were produced in: the token's, or that of a repair
  // Where the broker said with which producer id and epoch the next transaction of the id runs.
  std::optional<ProducerSession> next;
};

// Commits or aborts one Kafka transaction by its token: EndTxn, and where that answer does not settle it, the state
// that the coordinator tells. For a pinned id the state alone answers, because only this transaction can have brought
// it there (docs/protocol.md, "Kafka truths").
//
//              NONE                            told to commit            told to abort
//   EndTxn ----------> done    CompleteCommit  done                      heuristic
//     |    ^                   PrepareCommit   done                      heuristic
//     |    | Ongoing           CompleteAbort   repair                    done
//     v    |                   PrepareAbort    retry                     done
//   DescribeTransactions --->  Empty, unknown  heuristic                 done: nothing is open
//                              anything else   retry                     retry
//
// Repair: Kafka has aborted what was decided to commit, because nobody ended it for longer than its timeout. The
// records that the token holds are produced once more, in a transaction of the same id at its present epoch, and that
// one is committed. Before it begins, each partition has been seen without the first transaction: a marker of its abort
// that Kafka has lost would come with that of the repair, which shows the aborted records too (ADR 11). A repair that
// this process has begun goes on where it stands: its batches have the sequences that they had, so the leaders take
// none twice. Without records in the token: heuristic.
//
// Ongoing above the token's epoch otherwise is not touched, until the broker has aborted it: it may be the repair of an
// earlier process, or the first transaction itself, whose epoch a broker raises before it has aborted it (ADR 10).
//
// Keeps itself alive through its requests; used on the shard's thread. Cluster and markers outlive it.
class TransactionEnd : public std::enable_shared_from_this<TransactionEnd> {
 public:
  using Done = absl::AnyInvocable<void(Ended)>;
  // The repairs that this process has begun, by the number of their transactional id: the sessions that they run in.
  using Repairs = absl::flat_hash_map<std::uint32_t, ProducerSession>;

  // `repairs` outlives it.
  static void Start(Cluster& cluster, LostMarkers& markers, Repairs& repairs, v1::KafkaToken token,
                    std::uint32_t number, bool commit, Done done);

  TransactionEnd(Cluster& cluster, LostMarkers& markers, Repairs& repairs, v1::KafkaToken token, std::uint32_t number,
                 bool commit, Done done);

 private:
  void EndTxn();
  void JudgeEndTxn(const Answer<wire::EndTxnResponse>& answer);
  void Describe(std::string why);
  void JudgeState(const std::string& why, const wire::DescribeTransactionsResponse& found);
  void EndTxnAgain(std::string why);
  bool IsAboveToken(const wire::DescribeTransactionsResponse& found) const;
  bool IsOwnRepair(const wire::DescribeTransactionsResponse& found) const;
  void Repair(const std::string& why, const wire::DescribeTransactionsResponse& found);
  void AwaitAbort(const std::string& why, const wire::DescribeTransactionsResponse& found);
  void ProduceAgain(const std::string& why, const wire::DescribeTransactionsResponse& found);
  void CommitRepaired(const v1::KafkaToken& again);
  void Finished(Finish::Kind kind, std::string message = "", bool repaired = false);
  absl::Duration Left() const { return until_ - cluster_.clock().Monotonic(); }

  Cluster& cluster_;
  LostMarkers& markers_;
  Repairs& repairs_;
  const v1::KafkaToken token_;
  const std::uint32_t number_;
  const bool commit_;
  const absl::Duration until_;  // on the monotonic clock
  absl::Duration backoff_;
  ProducerSession ended_;
  std::optional<ProducerSession> next_;
  Done done_;
};

}  // namespace assent::kafka
