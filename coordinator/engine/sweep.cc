#include "coordinator/engine/sweep.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "base/failpoint.h"
#include "base/mutant.h"
#include "coordinator/engine/shard.h"

namespace assent {
namespace {

constexpr absl::Duration kFirstDelay = absl::Milliseconds(250);
constexpr absl::Duration kRetryFirstList = absl::Seconds(1);
constexpr std::size_t kMostLeftAlone = 100;  // remembered of a participant: an operator needs no more to see why

}  // namespace

std::vector<std::string> ForeignWork(const OwnWork& work, const LogStart& start, const std::string& participant,
                                     bool adopt, absl::FunctionRef<bool(const TxnId&)> may_be_ours) {
  if (ASSENT_MUTANT(foreign_work_unnoticed)) return {};
  std::vector<std::string> foreign;
  if (!adopt) foreign = work.foreign;
  const std::uint32_t last_take_over = start.LastTakeOverOf(participant);
  for (const InDoubtBranch& found : work.branches) {
    const TxnId& txn = found.branch.txn;
    if (txn.coordinator == start.coordinator) {
      const bool is_ours = txn.epoch <= last_take_over || (txn.epoch == start.epoch && may_be_ours(txn));
      if (!is_ours) foreign.push_back(found.branch.ToGid());
    } else if (!adopt) {
      foreign.push_back(found.branch.ToGid());
    }
  }
  return foreign;
}

Sweep::Sweep(Shard& shard) : shard_(shard), next_delay_(kFirstDelay) {}

int Sweep::RunNow() {
  for (const auto& participant : shard_.participants_) SweepOne(participant.get());
  return static_cast<int>(shard_.participants_.size());
}

void Sweep::SweepAll() {
  RunNow();
  if (ASSENT_MUTANT(swept_only_once)) return;
  shard_.scheduler_.After(next_delay_, [this] { SweepAll(); });
  next_delay_ = std::min(next_delay_ * 2, shard_.options_.sweep_interval);
}

void Sweep::SweepSoon(Participant* participant) {
  shard_.scheduler_.After(kFirstDelay, [this, participant] { SweepOne(participant); });
}

void Sweep::SweepOne(Participant* participant) {
  const bool has_taken_over = shard_.take_overs_.Has(participant);
  if (!has_taken_over && shard_.place_.index != 0) return;  // the first shard checks for all
  participant->ListOwn([this, participant, has_taken_over](absl::StatusOr<OwnWork> work) {
    NoteAnswer(participant, work.status());
    if (work.ok()) return has_taken_over ? Judge(participant, *work) : CheckFirst(participant, *work);
    // A participant that is down is swept when it returns. One that nobody may use before its first answer is asked for
    // it more often.
    if (has_taken_over || !asked_again_.insert(participant).second) return;
    shard_.first_answer_(std::string(participant->name()), work.status());
    shard_.scheduler_.After(kRetryFirstList, [this, participant] {
      asked_again_.erase(participant);
      SweepOne(participant);
    });
  });
}

// What it says again and again is logged once.
void Sweep::NoteAnswer(const Participant* participant, const absl::Status& answer) {
  if (shard_.place_.index != 0 || absl::IsUnavailable(answer)) return;  // that it is down its adapter says
  const std::string message(answer.message());
  if (std::exchange(last_error_[participant], message) == message || answer.ok()) return;
  spdlog::warn("participant \"{}\" does not say what it holds under this coordinator's name: {}",
               std::string(participant->name()), message);
}

// No shard has done anything at the participant in this epoch.
void Sweep::CheckFirst(Participant* participant, const OwnWork& work) {
  if (shard_.take_overs_.Has(participant)) return;
  const std::vector<std::string> foreign = shard_.ForeignBeforeTakeOver(*participant, work);
  LeaveAlone(participant, work, foreign);
  shard_.first_answer_(std::string(participant->name()), Shard::FirstLook{work.identity, foreign});
}

void Sweep::Judge(Participant* participant, const OwnWork& work) {
  const LogStart& start = shard_.log_.start();
  const std::string name(participant->name());
  const auto given_out = [&](const TxnId& txn) { return txn.sequence <= shard_.log_.last_sequence(); };
  // Whose log is the right one is not for us to say: end nothing here.
  const std::vector<std::string> foreign = ForeignWork(work, start, name, shard_.options_.adopt, given_out);
  shard_.NoteForeign(name, foreign);
  LeaveAlone(participant, work, foreign);
  if (!foreign.empty()) return;
  absl::flat_hash_set<std::string> seen_now;
  for (const InDoubtBranch& found : work.branches) {
    const TxnId& txn = found.branch.txn;
    if (txn.coordinator != start.coordinator && !ASSENT_MUTANT(foreign_work_swept)) {
      LeaveAlone(participant, found.branch.ToGid());
      continue;
    }
    if (shard_.routing_.ShardOf(txn) != shard_.place_.index) continue;
    const bool is_running = shard_.FindRunning(txn) != nullptr && !ASSENT_MUTANT(running_work_swept);
    if (is_running || shard_.orphans_.contains(found.branch.ToGid())) continue;
    const bool was_seen = seen_before_[name].contains(found.branch.ToGid());
    seen_now.insert(found.branch.ToGid());
    if (was_seen || txn.epoch != start.epoch) End(participant, found, was_seen);
  }
  seen_before_[name] = std::move(seen_now);
}

void Sweep::LeaveAlone(const Participant* participant, const std::string& id) {
  std::set<std::string>& left = left_alone_[participant];
  if (left.size() < kMostLeftAlone) left.insert(id);
}

void Sweep::LeaveAlone(const Participant* participant, const OwnWork& work, const std::vector<std::string>& foreign) {
  left_alone_[participant].clear();
  // What is open comes first, and also where it was adopted: it holds others up until somebody ends it.
  for (const std::string& id : work.foreign_open) LeaveAlone(participant, id);
  for (const std::string& id : foreign) LeaveAlone(participant, id);
}

std::vector<std::string> Sweep::LeftAlone(const Participant* participant) const {
  const auto found = left_alone_.find(participant);
  if (found == left_alone_.end()) return {};
  return {found->second.begin(), found->second.end()};
}

void Sweep::End(Participant* participant, const InDoubtBranch& found, bool was_seen) {
  shard_.ResolveEnded(found.branch.txn, [this, participant, found, was_seen](absl::StatusOr<EndedTransaction> known) {
    if (!known.ok()) return;  // the next sweep asks again
    // It may have been finished since the list was made, by this process: it is committed again where it stays.
    if (known->outcome == v1::COMMITTED && !was_seen) return;
    if (known->outcome == v1::COMMITTED || known->outcome == v1::ABORTED) return Own(participant, found, *known);
    const std::string gid = found.branch.ToGid();
    spdlog::warn(
        "participant \"{}\" holds {} prepared since {}, of which this coordinator no longer knows the outcome; "
        "it is left alone, and holds its locks",
        std::string(participant->name()), gid, absl::FormatTime(found.prepared_at));
    LeaveAlone(participant, gid);
  });
}

void Sweep::Own(Participant* participant, const InDoubtBranch& found, const EndedTransaction& ended) {
  const std::string gid = found.branch.ToGid();
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
                                            .token = found.token,
                                            .since = found.prepared_at});
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
}

}  // namespace assent
