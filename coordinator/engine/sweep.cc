#include "coordinator/engine/sweep.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "coordinator/engine/shard.h"

namespace assent {
namespace {

constexpr absl::Duration kFirstDelay = absl::Milliseconds(250);
constexpr absl::Duration kRetryFirstList = absl::Seconds(1);

}  // namespace

std::vector<std::string> ForeignWork(const OwnWork& work, const LogStart& start,
                                     absl::FunctionRef<bool(const TxnId&)> may_be_ours) {
  std::vector<std::string> foreign = work.foreign;
  for (const InDoubtBranch& found : work.branches) {
    const TxnId& txn = found.branch.txn;
    const bool is_of_other_start = txn.epoch > start.epoch || (txn.epoch == start.epoch && !may_be_ours(txn));
    if (txn.coordinator != start.coordinator || is_of_other_start) foreign.push_back(found.branch.ToGid());
  }
  return foreign;
}

Sweep::Sweep(Shard& shard) : shard_(shard), next_delay_(kFirstDelay) {}

void Sweep::Enable(const absl::flat_hash_set<std::string>& checked) {
  if (std::exchange(enabled_, true)) return;
  for (const auto& participant : shard_.participants_) {
    if (shard_.options_.adopt || checked.contains(std::string(participant->name())))
      shard_.TakeOverAt(participant.get());
  }
  RunAll();
}

void Sweep::ParticipantReturned(Participant* participant) {
  if (enabled_) Run(participant);
}

void Sweep::RunAll() {
  for (const auto& participant : shard_.participants_) Run(participant.get());
  shard_.scheduler_.After(next_delay_, [this] { RunAll(); });
  next_delay_ = std::min(next_delay_ * 2, shard_.options_.sweep_interval);
}

void Sweep::Run(Participant* participant) {
  participant->ListOwn([this, participant](absl::StatusOr<OwnWork> work) {
    if (work.ok()) return Judge(participant, *work);
    // A participant that is down is swept when it returns. One that nobody may use before its first answer is asked for
    // it more often.
    if (shard_.runner_.HasTakenOver(participant) || !asked_again_.insert(participant).second) return;
    shard_.scheduler_.After(kRetryFirstList, [this, participant] {
      asked_again_.erase(participant);
      Run(participant);
    });
  });
}

void Sweep::Judge(Participant* participant, const OwnWork& work) {
  const LogStart& start = shard_.log_.start();
  const std::string name(participant->name());
  if (!shard_.options_.adopt) {
    // Before this shard has done anything at the participant, only other shards can have.
    const bool is_first = !shard_.runner_.HasTakenOver(participant);
    const std::vector<std::string> foreign = ForeignWork(work, start, [&](const TxnId& txn) {
      return is_first ? shard_.routing_.ShardOf(txn) != shard_.place_.index
                      : txn.sequence <= shard_.log_.last_sequence();
    });
    if (!foreign.empty() && shard_.quarantined_.insert(name).second) {
      spdlog::error(
          "participant \"{}\" holds {} of another decision log under the name of this coordinator, \"{}\": it takes no "
          "new branches until one of the two has another name, or this one is started with --adopt",
          name, foreign.front(), start.coordinator.name);
    }
    if (!foreign.empty()) return;  // whose log is the right one is not for us to say: end nothing here
    shard_.quarantined_.erase(name);
  }
  shard_.TakeOverAt(participant);
  absl::flat_hash_set<std::string> seen_now;
  for (const InDoubtBranch& found : work.branches) {
    const TxnId& txn = found.branch.txn;
    if (txn.coordinator != start.coordinator || txn.epoch > start.epoch) continue;
    if (shard_.routing_.ShardOf(txn) != shard_.place_.index) continue;
    if (shard_.FindRunning(txn) || shard_.orphans_.contains(found.branch.ToGid())) continue;
    if (txn.epoch == start.epoch) {
      seen_now.insert(found.branch.ToGid());
      if (!seen_before_[name].contains(found.branch.ToGid())) continue;
    }
    End(participant, found);
  }
  seen_before_[name] = std::move(seen_now);
}

void Sweep::End(Participant* participant, const InDoubtBranch& found) {
  shard_.ResolveEnded(found.branch.txn, [this, participant, found](absl::StatusOr<EndedTransaction> known) {
    if (!known.ok()) return;  // the next sweep asks again
    const EndedTransaction& ended = *known;
    const std::string gid = found.branch.ToGid();
    if (ended.outcome != v1::COMMITTED && ended.outcome != v1::ABORTED) {
      spdlog::warn(
          "participant \"{}\" holds {} prepared since {}, of which this coordinator no longer knows the outcome; "
          "it is left alone, and holds its locks",
          std::string(participant->name()), gid, absl::FormatTime(found.prepared_at));
      return;
    }
    if (shard_.orphans_.contains(gid)) return;
    const bool broker = participant->kind() == ParticipantKind::kBroker;
    const auto kind = broker ? protocol::BranchKind::kBroker : protocol::BranchKind::kDatabase;
    auto transaction = std::make_shared<Transaction>();
    transaction->id = found.branch.txn;
    transaction->found_by_sweep = true;
    transaction->began = absl::InfinitePast();
    transaction->deadline = absl::InfiniteFuture();
    transaction->branches.push_back(BranchRun{.name = found.branch.name,
                                              .participant_name = std::string(participant->name()),
                                              .participant = participant,
                                              .token = found.token});
    shard_.orphans_[gid] = transaction;
    if (ended.outcome == v1::COMMITTED) {
      spdlog::warn("participant \"{}\" holds {} prepared, which was committed: it is committed again",
                   std::string(participant->name()), gid);
      transaction->state = protocol::DecidedInTheLog({kind});
      shard_.runner_.Feed(transaction, protocol::DecisionDurable{});
    } else {
      spdlog::info("participant \"{}\" holds {} prepared without a decision: it is rolled back",
                   std::string(participant->name()), gid);
      transaction->state = protocol::PreparedWithoutDecision(kind);
      shard_.runner_.Feed(transaction, protocol::AbortAsked{});
    }
  });
}

}  // namespace assent
