#include "coordinator/engine/sweep.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "base/failpoint.h"
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

void Sweep::Enable() {
  if (std::exchange(enabled_, true)) return;
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
  const bool has_taken_over = shard_.runner_.HasTakenOver(participant);
  if (!has_taken_over && shard_.place_.index != 0) return;  // the first shard checks for all
  participant->ListOwn([this, participant, has_taken_over](absl::StatusOr<OwnWork> work) {
    if (work.ok()) return has_taken_over ? Judge(participant, *work) : CheckFirst(participant, *work);
    // A participant that is down is swept when it returns. One that nobody may use before its first answer is asked for
    // it more often.
    if (has_taken_over || !asked_again_.insert(participant).second) return;
    shard_.scheduler_.After(kRetryFirstList, [this, participant] {
      asked_again_.erase(participant);
      Run(participant);
    });
  });
}

// No shard has done anything at the participant in this epoch.
void Sweep::CheckFirst(Participant* participant, const OwnWork& work) {
  const std::string name(participant->name());
  if (shard_.runner_.HasTakenOver(participant)) return;
  if (Quarantine(name, ForeignWork(work, shard_.log_.start(), [](const TxnId&) { return false; }))) return;
  shard_.may_be_taken_over_(name);
}

bool Sweep::Quarantine(const std::string& participant, const std::vector<std::string>& foreign) {
  if (foreign.empty()) {
    shard_.quarantined_.erase(participant);
  } else if (shard_.quarantined_.insert(participant).second) {
    spdlog::error(
        "participant \"{}\" holds {} of another decision log under the name of this coordinator, \"{}\": it takes no "
        "new branches until one of the two has another name, or this one is started with --adopt",
        participant, foreign.front(), shard_.log_.start().coordinator.name);
  }
  return !foreign.empty();
}

void Sweep::Judge(Participant* participant, const OwnWork& work) {
  const LogStart& start = shard_.log_.start();
  const std::string name(participant->name());
  if (!shard_.options_.adopt) {
    const auto given_out = [&](const TxnId& txn) { return txn.sequence <= shard_.log_.last_sequence(); };
    // Whose log is the right one is not for us to say: end nothing here.
    if (Quarantine(name, ForeignWork(work, start, given_out))) return;
  }
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
    HitFailpoint(Failpoint::kSweepEnds);
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
