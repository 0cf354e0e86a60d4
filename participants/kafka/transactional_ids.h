#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "participants/kafka/cluster.h"
#include "participants/kafka/lost_markers.h"
#include "participants/kafka/transactional_id_pool.h"
#include "participants/kafka/wire/transaction_messages.h"
#include "participants/participant.h"
#include "participants/participant_context.h"

namespace assent::kafka {

// Gives out transactional ids, each fenced by InitProducerId before its first use in this process, and fences at start
// every id that an earlier process of this coordinator has left behind and no decided transaction needs: a late Produce
// of that process would open a transaction that nobody ends.
//
// Owned by the participant, used on the shard's thread. Cluster and markers outlive it.
class TransactionalIds {
 public:
  using Acquired = absl::AnyInvocable<void(absl::StatusOr<ProducerSession>)>;

  TransactionalIds(const ParticipantContext& context, Cluster& cluster, LostMarkers& markers);

  // `pinned`: the ids of decided, unfinished transactions of earlier processes.
  void Start(const std::vector<std::uint32_t>& pinned);

  // Every id of this coordinator that is not pinned is free to be fenced; none is touched before.
  void TakeOver();

  // The cluster can be reached: goes on with what waits for it.
  void ClusterReturned();

  // A broker was lost: what was ended last may never get its markers, and its ids are not given out before that is
  // looked at.
  void BrokerLost();

  // Gives an id for one transaction, for which the caller waits at most `patience`.
  void Acquire(absl::Duration patience, Acquired acquired);

  // Ends the use of an id that Acquire() gave: with its next session, or unclean, to be fenced again.
  void Return(const ProducerSession& next);
  void ReturnUnclean(std::uint32_t number);

  // Fences an id in use, whatever its transaction has come to: aborts it, and lets no late Produce open another. `done`
  // gets the id's next session.
  void FenceInUse(std::uint32_t number, absl::AnyInvocable<void(absl::StatusOr<ProducerSession>)> done);

  // An id under which something is open that nobody can explain: no transaction may be added to that.
  void LetGo(std::uint32_t number) { pool_.Burn(number); }

  // The transaction that held a pinned id has ended: the id may be used here from now on.
  void Unpin(std::uint32_t number);

  // Ids that carry this coordinator's name, found on all brokers: those of another incarnation, with or without an open
  // transaction, and those of its own under which an earlier process has left one open that nobody needs.
  void ListOwn(absl::AnyInvocable<void(absl::StatusOr<OwnWork>)> done);

  std::string IdOf(std::uint32_t number) const;
  // After which the broker aborts a transaction, as far as it has said.
  absl::Duration transaction_timeout() const { return absl::Milliseconds(transaction_timeout_ms_); }
  std::string Describe() const;  // "12 of 256 transactional ids, 3 in use"

 private:
  struct Waiter {
    Acquired acquired;
    DelayedCalls::Handle deadline;
  };
  using Transactions = std::vector<wire::ListTransactionsResponse::Transaction>;
  using Listed = absl::AnyInvocable<void(absl::StatusOr<Transactions>)>;

  void Serve(bool hurry);
  void GrowFor(std::size_t ids);
  void Fence(std::uint32_t number, bool somebody_waits = false);
  void LookAndFence(std::uint32_t number);
  void FenceNext();
  void Fenced(const ProducerSession& session);
  void GiveToPool(const ProducerSession& session);
  void FenceAgain(std::uint32_t number, const Answer<wire::InitProducerIdResponse>& answer);
  void InitProducerId(std::uint32_t number, absl::Duration patience,
                      absl::AnyInvocable<void(Answer<wire::InitProducerIdResponse>)> done);
  void LowerTimeout(std::int64_t refused_ms, absl::AnyInvocable<void()> done);
  void ListAll(Listed done);
  void FenceLeftBehind();
  void FenceListed(const Transactions& listed);
  absl::Status WhyNone() const;

  const ParticipantContext context_;
  Cluster& cluster_;
  LostMarkers& markers_;
  TransactionalIdPool pool_;
  std::list<std::shared_ptr<Waiter>> waiters_;
  std::list<std::uint32_t> to_fence_;
  std::size_t fencing_ = 0;  // InitProducerId calls under way for the pool
  // Ids that will be idle once they are fenced; without those whose markers are awaited, for as long as a broker is
  // away.
  std::size_t pool_fencing_ = 0;
  std::string last_failure_;  // of fencing
  bool has_taken_over_ = false;
  bool listing_left_behind_ = false;
  std::set<std::uint32_t> being_ended_;  // of an earlier process: Kafka may lose their markers yet, so they wait
  bool may_fence_ = false;               // what an earlier process has left is known, or could not be learnt
  std::int64_t transaction_timeout_ms_;
  bool timeout_is_known_ = false;
};

}  // namespace assent::kafka
