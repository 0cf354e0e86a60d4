// What operators ask a shard: which transactions and participants it has, and how they are.

#include <algorithm>
#include <map>
#include <utility>

#include "coordinator/engine/shard.h"
#include "coordinator/engine/sweep.h"

namespace assent {
namespace {

using protocol::BranchPhase;

absl::Duration ToDuration(const google::protobuf::Duration& proto) {
  return absl::Seconds(proto.seconds()) + absl::Nanoseconds(proto.nanos());
}

bool Matches(const v1::ListTransactionsRequest& request, const v1::TransactionDescription& description) {
  const auto is_there = [&](const v1::BranchDescription& branch) {
    return branch.participant() == request.participant();
  };
  const auto& branches = description.branches();
  if (!request.participant().empty() && std::none_of(branches.begin(), branches.end(), is_there)) return false;
  const auto& states = request.states();
  return states.empty() || std::find(states.begin(), states.end(), description.state()) != states.end();
}

// It may hold locks, or hide records, until it is told how it ends.
bool IsInDoubt(BranchPhase phase) {
  switch (phase) {
    case BranchPhase::kPrepared:
    case BranchPhase::kInDoubt:
    case BranchPhase::kCommitting:
    case BranchPhase::kAborting:
      return true;
    case BranchPhase::kOpen:
    case BranchPhase::kHeld:
    case BranchPhase::kPreparing:
    case BranchPhase::kCommitted:
    case BranchPhase::kAborted:
    case BranchPhase::kReadOnly:
    case BranchPhase::kHeuristic:
      return false;
  }
  return false;
}

bool IsOpen(BranchPhase phase) {
  return phase == BranchPhase::kOpen || phase == BranchPhase::kHeld || phase == BranchPhase::kPreparing;
}

bool HasEnded(BranchPhase phase) { return !IsOpen(phase) && !IsInDoubt(phase); }

// Of an ended transaction: a branch that was found prepared again is shown as it is now.
void ShowOrphan(const v1::TransactionDescription& orphan, v1::TransactionDescription& description) {
  for (const v1::BranchDescription& found : orphan.branches()) {
    auto& branches = *description.mutable_branches();
    const auto known = std::find_if(branches.begin(), branches.end(), [&](const v1::BranchDescription& branch) {
      return branch.branch() == found.branch();
    });
    (known == branches.end() ? *branches.Add() : *known) = found;
  }
}

}  // namespace

// ---- Transactions ---------------------------------------------------------------------------------------------------

std::string Shard::DescribeToken(const std::string& participant_name, const std::string& token) const {
  if (token.empty()) return "";
  const Participant* const participant = FindParticipant(participant_name);
  return participant != nullptr ? participant->DescribeToken(token) : DescribeUnknownToken(token);
}

v1::TransactionDescription Shard::DescribeForOperators(const Transaction& transaction) const {
  v1::TransactionDescription description = Describe(transaction);
  for (int i = 0; i < description.branches_size(); ++i) {
    const BranchRun& run = transaction.branches[static_cast<std::size_t>(i)];
    v1::BranchDescription& branch = *description.mutable_branches(i);
    branch.set_token(DescribeToken(run.participant_name, run.token));
    if (HasEnded(transaction.state.branches[static_cast<std::size_t>(i)].phase)) continue;
    if (run.since != absl::InfinitePast()) SetTime(run.since, *branch.mutable_since());
    if (run.next_attempt != absl::InfinitePast()) SetTime(run.next_attempt, *branch.mutable_next_attempt());
  }
  return description;
}

v1::TransactionDescription Shard::DescribeForOperators(const EndedTransaction& ended) const {
  v1::TransactionDescription description = Describe(ended);
  for (std::size_t i = 0; i < ended.branches.size(); ++i) {
    const EndedBranch& branch = ended.branches[i];
    description.mutable_branches(static_cast<int>(i))->set_token(DescribeToken(branch.participant_name, branch.token));
  }
  return description;
}

std::vector<TransactionPtr> Shard::OrphansOf(const TxnId& id) const {
  std::vector<TransactionPtr> found;
  for (const auto& [gid, orphan] : orphans_) {
    if (orphan->id == id) found.push_back(orphan);
  }
  return found;
}

std::vector<v1::TransactionDescription> Shard::List(const v1::ListTransactionsRequest& request, std::uint64_t after,
                                                    std::size_t limit) const {
  std::map<std::uint64_t, v1::TransactionDescription> listed;
  const absl::Time began_before = clock_.Now() - ToDuration(request.older_than());
  for (auto it = transactions_.upper_bound(after); it != transactions_.end() && listed.size() < limit; ++it) {
    if (it->second->began > began_before) continue;
    v1::TransactionDescription description = DescribeForOperators(*it->second);
    if (Matches(request, description)) listed.emplace(it->first, std::move(description));
  }
  // Branches that the sweep has found are transactions of their own here; to people those of one transaction are one.
  std::map<std::uint64_t, v1::TransactionDescription> found;
  for (const auto& [gid, orphan] : orphans_) {
    if (orphan->id.sequence <= after) continue;
    const v1::TransactionDescription description = DescribeForOperators(*orphan);
    const auto [entry, is_new] = found.emplace(orphan->id.sequence, description);
    if (!is_new) entry->second.mutable_branches()->MergeFrom(description.branches());
  }
  for (auto& [sequence, description] : found) {
    if (Matches(request, description)) listed.emplace(sequence, std::move(description));
  }
  std::vector<v1::TransactionDescription> page;
  for (auto& [sequence, description] : listed) {
    if (page.size() == limit) break;
    page.push_back(std::move(description));
  }
  return page;
}

void Shard::DescribeTransaction(v1::DescribeTransactionRequest request, Answer<v1::TransactionDescription> answer) {
  // Not as GetTransaction does: what is being decided is no promise to an operator, who must not be made to wait for
  // it.
  const auto if_running = [this](const TransactionPtr& transaction, Answer<v1::TransactionDescription> reply) {
    reply(DescribeForOperators(*transaction));
  };
  WithTransaction(request.txn_id(), std::move(answer), if_running,
                  [this](EndedTransaction ended, Answer<v1::TransactionDescription> reply) {
                    if (ended.outcome == v1::NEVER_EXISTED) return reply(StatusOfEnded(ended));
                    v1::TransactionDescription description = DescribeForOperators(ended);
                    for (const TransactionPtr& orphan : OrphansOf(ended.id)) {
                      ShowOrphan(DescribeForOperators(*orphan), description);
                    }
                    reply(std::move(description));
                  });
}

// ---- Participants ---------------------------------------------------------------------------------------------------

std::vector<v1::ParticipantDescription> Shard::DescribeParticipants() const {
  std::vector<v1::ParticipantDescription> described;
  absl::flat_hash_map<const Participant*, std::size_t> places;
  for (const auto& participant : participants_) {
    places[participant.get()] = described.size();
    const std::string name(participant->name());
    const ParticipantHealth health = participant->health();
    v1::ParticipantDescription& description = described.emplace_back();
    description.set_name(name);
    description.set_kind(participant->kind() == ParticipantKind::kBroker ? "broker" : "database");
    description.set_available(health.available);
    description.set_health(health.message);
    description.set_takes_branches(take_overs_.CheckNewBranch(participant.get()).ok());
    for (const std::string& id : sweep_->LeftAlone(participant.get())) description.add_left_alone(id);
  }
  std::vector<absl::Time> oldest(described.size(), absl::InfiniteFuture());
  for (const TransactionPtr& transaction : AllRunning()) {
    for (std::size_t i = 0; i < transaction->branches.size(); ++i) {
      const BranchRun& run = transaction->branches[i];
      const auto place = places.find(run.participant);
      if (place == places.end()) continue;
      v1::ParticipantDescription& description = described[place->second];
      const BranchPhase phase = transaction->state.branches[i].phase;
      if (IsOpen(phase)) description.set_open(description.open() + 1);
      if (!IsInDoubt(phase)) continue;
      description.set_in_doubt(description.in_doubt() + 1);
      oldest[place->second] = std::min(oldest[place->second], run.since);
    }
  }
  for (std::size_t i = 0; i < described.size(); ++i) {
    const bool is_known = oldest[i] != absl::InfiniteFuture() && oldest[i] != absl::InfinitePast();
    if (is_known) SetTime(oldest[i], *described[i].mutable_oldest_in_doubt());
  }
  return described;
}

std::vector<v1::AuditEntry> Shard::DescribeAudit(const std::vector<v1::HeuristicRecord>& records) const {
  std::vector<v1::AuditEntry> entries;
  for (const v1::HeuristicRecord& record : records) {
    v1::AuditEntry& entry = entries.emplace_back();
    entry.set_txn_id(record.txn_id());
    entry.set_branch(record.branch());
    entry.set_participant(record.participant());
    entry.set_token(DescribeToken(record.participant(), record.token()));
    entry.set_decided(record.decided());
    entry.set_what(record.what());
    SetTime(absl::FromUnixMicros(record.found_at_us()), *entry.mutable_at());
    entry.set_forced(record.forced());
    entry.set_forced_by(record.forced_by());
    entry.set_done(record.done());
  }
  return entries;
}

void Shard::InspectParticipants(std::function<void(std::size_t, absl::StatusOr<Inspection>)> done) {
  for (std::size_t i = 0; i < participants_.size(); ++i) {
    participants_[i]->Inspect([done, i](absl::StatusOr<Inspection> inspection) { done(i, std::move(inspection)); });
  }
}

void Shard::MeasureHidden(std::function<void(std::size_t, Hidden)> done) {
  for (std::size_t i = 0; i < participants_.size(); ++i) {
    participants_[i]->MeasureHidden([done, i](Hidden hidden) { done(i, std::move(hidden)); });
  }
}

}  // namespace assent
