#include "coordinator/engine/shard.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/failpoint.h"
#include "base/mutant.h"
#include "coordinator/engine/forced_step.h"
#include "coordinator/engine/request_hash.h"
#include "coordinator/engine/sweep.h"

namespace assent {
namespace {

constexpr std::size_t kMaxRequestIdBytes = 128;
constexpr int kMaxLabels = 32;
constexpr std::size_t kMaxLabelBytes = 256;

absl::Duration ToDuration(const google::protobuf::Duration& proto) {
  return absl::Seconds(proto.seconds()) + absl::Nanoseconds(proto.nanos());
}

EndedTransaction EndedInTheLog(const LoggedOutcome& logged) {
  const v1::DecisionRecord& decision = logged.decision;
  EndedTransaction ended{.id = ParseTxnId(decision.txn_id()).value_or(TxnId{}),
                         .outcome = decision.outcome(),
                         .request_id = decision.request_id(),
                         .request_hash = decision.request_hash(),
                         .failure = decision.failure()};
  // A presumed abort was never decided.
  if (decision.decided_at_us() != 0) ended.decided_at = absl::FromUnixMicros(decision.decided_at_us());
  for (const v1::BranchRecord& branch : decision.branches()) {
    ended.branches.push_back({.name = branch.branch(), .participant_name = branch.participant()});
  }
  for (const v1::HeuristicRecord& heuristic : logged.heuristics) {
    const bool is_forced = heuristic.forced() != v1::OUTCOME_UNSPECIFIED;
    if (is_forced && !heuristic.done()) continue;  // asked for; what came of it stands in another record
    const auto is_its = [&](const EndedBranch& branch) { return branch.name == heuristic.branch(); };
    auto branch = std::find_if(ended.branches.begin(), ended.branches.end(), is_its);
    if (branch == ended.branches.end()) {
      branch = ended.branches.insert(branch, {.name = heuristic.branch(), .participant_name = heuristic.participant()});
    }
    branch->is_heuristic = true;
    branch->what = is_forced ? ForcedText(heuristic) : heuristic.what();
    branch->token = heuristic.token();
  }
  return ended;
}

absl::Time ToTime(const google::protobuf::Timestamp& proto) {
  return absl::FromUnixSeconds(proto.seconds()) + absl::Nanoseconds(proto.nanos());
}

}  // namespace

// ---- Start and end --------------------------------------------------------------------------------------------------

Shard::Shard(const EngineOptions& options, Place place, const Routing& routing, DecisionLog& log, const Clock& clock,
             Scheduler& scheduler, std::vector<std::unique_ptr<Participant>> participants, FirstAnswer first_answer)
    : options_(options),
      place_(place),
      routing_(routing),
      log_(log),
      clock_(clock),
      scheduler_(scheduler),
      participants_(std::move(participants)),
      first_answer_(std::move(first_answer)),
      take_overs_(log.start().coordinator),
      runner_(options, std::max(1u, options.max_recovering / place.count), log, clock, scheduler, take_overs_,
              [this](const TransactionPtr& transaction) { Retire(transaction); }),
      sweep_(std::make_unique<Sweep>(*this)) {}

Shard::~Shard() {
  // Who waits holds the transaction, and the transaction who waits: dropping them here answers "unknown" to each.
  for (const TransactionPtr& transaction : AllRunning()) {
    transaction->waiters.clear();
    for (BranchRun& branch : transaction->branches) {
      branch.operations.clear();
      branch.after_attempt.clear();
    }
  }
}

void Shard::Start() {
  absl::flat_hash_map<std::string, std::vector<std::string>> unfinished_tokens;
  for (const v1::DecisionRecord& record : log_.start().unfinished) {
    for (const v1::BranchRecord& branch : record.branches()) {
      const bool is_named = FindParticipant(branch.participant()) != nullptr;
      for (const auto& participant : participants_) {
        // One that is no longer named may be any of the others, under another name.
        if (is_named && participant->name() != branch.participant()) continue;
        unfinished_tokens[std::string(participant->name())].push_back(branch.token());
      }
    }
  }
  if (ASSENT_MUTANT(unfinished_tokens_untold)) unfinished_tokens.clear();
  for (const auto& participant : participants_) {
    participant->Start(unfinished_tokens[std::string(participant->name())],
                       [this, p = participant.get()] { ParticipantReturned(p); });
  }
  for (const v1::DecisionRecord& record : log_.start().unfinished) {
    if (routing_.ShardOf(record) == place_.index) FinishDecision(record);
  }
  HitFailpoint(Failpoint::kRecoveryBegins);
  sweep_->SweepAll();
}

void Shard::FinishDecision(const v1::DecisionRecord& record) {
  auto transaction = std::make_shared<Transaction>();
  const auto id = ParseTxnId(record.txn_id());
  ASSENT_CHECK(id.has_value(), "the log holds a decision under an id that is none");
  transaction->id = *id;
  transaction->request_id = record.request_id();
  transaction->request_hash = record.request_hash();
  transaction->began = absl::InfinitePast();
  transaction->deadline = absl::InfiniteFuture();
  transaction->in_log = true;
  transaction->decided_at = absl::FromUnixMicros(record.decided_at_us());
  transaction->branches.reserve(static_cast<std::size_t>(record.branches_size()));
  absl::InlinedVector<protocol::BranchKind, 2> kinds;
  for (const v1::BranchRecord& branch : record.branches()) {
    Participant* const participant = FindParticipant(branch.participant());
    const bool broker = participant != nullptr && participant->kind() == ParticipantKind::kBroker;
    kinds.push_back(broker ? protocol::BranchKind::kBroker : protocol::BranchKind::kDatabase);
    transaction->branches.push_back(BranchRun{.name = branch.branch(),
                                              .participant_name = branch.participant(),
                                              .participant = participant,
                                              .token = branch.token(),
                                              .since = transaction->decided_at});
  }
  transaction->state = protocol::DecidedInTheLog(kinds);
  transactions_[id->sequence] = transaction;
  if (!transaction->request_id.empty()) requests_[transaction->request_id] = id->sequence;
  runner_.Feed(transaction, protocol::DecisionDurable{});
}

void Shard::Retire(const TransactionPtr& transaction) {
  // A sweep's transaction lives beside those of callers.
  if (transaction->found_by_sweep) {
    orphans_.erase(transaction->Branch(0).ToGid());
    return;
  }
  transactions_.erase(transaction->id.sequence);
  EndedTransaction ended{.id = transaction->id,
                         .outcome = transaction->aborted ? v1::ABORTED : v1::COMMITTED,
                         .request_id = transaction->request_id,
                         .request_hash = transaction->request_hash,
                         .failure = transaction->failure,
                         .decided_at = transaction->decided_at};
  ended.branches.reserve(transaction->branches.size());
  for (std::size_t i = 0; i < transaction->branches.size(); ++i) {
    const BranchRun& run = transaction->branches[i];
    const bool is_heuristic = transaction->state.branches[i].phase == protocol::BranchPhase::kHeuristic;
    ended.branches.push_back({.name = run.name,
                              .participant_name = run.participant_name,
                              .is_heuristic = is_heuristic,
                              .is_repaired = run.is_repaired,
                              .what = is_heuristic ? run.waits_for : std::string(),
                              .token = is_heuristic ? run.token : std::string()});
  }
  Remember(std::move(ended));
}

void Shard::Remember(EndedTransaction ended) {
  const std::uint64_t sequence = ended.id.sequence;
  remembered_order_.push_back(sequence);
  remembered_.emplace(sequence, std::move(ended));
  const std::size_t bound = std::max<std::size_t>(1, options_.max_remembered / place_.count);
  while (remembered_order_.size() > bound) {
    const auto oldest = remembered_.find(remembered_order_.front());
    remembered_order_.pop_front();
    if (oldest == remembered_.end()) continue;
    const auto request = requests_.find(oldest->second.request_id);
    if (request != requests_.end() && request->second == oldest->first) requests_.erase(request);
    remembered_.erase(oldest);
  }
}

std::vector<TransactionPtr> Shard::AllRunning() const {
  std::vector<TransactionPtr> running;
  for (const auto& [sequence, transaction] : transactions_) running.push_back(transaction);
  for (const auto& [gid, transaction] : orphans_) running.push_back(transaction);
  return running;
}

void Shard::ParticipantReturned(Participant* participant) {
  for (const TransactionPtr& transaction : AllRunning()) runner_.RetryNow(transaction, participant);
  sweep_->SweepOne(participant);
}

// ---- Finding --------------------------------------------------------------------------------------------------------

TransactionPtr Shard::FindRunning(const TxnId& id) const {
  const auto found = transactions_.find(id.sequence);
  return found != transactions_.end() && found->second->id == id ? found->second : nullptr;
}

void Shard::ResolveEnded(const TxnId& id, ResolveDone done) {
  EndedTransaction ended{.id = id, .outcome = v1::NEVER_EXISTED};
  const LogStart& start = log_.start();
  if (id.coordinator != start.coordinator && !ASSENT_MUTANT(foreign_work_swept)) {
    ended.failure.set_reason(absl::StrCat("transaction ", id.ToString(), " is not of this coordinator, which is ",
                                          start.coordinator.ToString()));
    return done(std::move(ended));
  }
  const std::uint64_t given_out = id.epoch == start.epoch ? log_.last_sequence() : start.reserved_sequences;
  if (id.epoch > start.epoch || id.epoch == 0 || id.sequence == 0 || id.sequence > given_out) {
    ended.failure.set_reason(absl::StrCat("transaction ", id.ToString(), " never existed"));
    return done(std::move(ended));
  }
  if (const auto found = remembered_.find(id.sequence); found != remembered_.end()) return done(found->second);
  log_.FindTransaction(id, [this, ended = std::move(ended), done = std::move(done)](auto logged) mutable {
    scheduler_.Post([this, ended = std::move(ended), done = std::move(done), logged = std::move(logged)]() mutable {
      if (!logged.ok()) return done(logged.status());
      if (logged->has_value()) {
        ended = EndedInTheLog(**logged);
      } else {
        // Presumed abort: an id that was given out and left no decision has none.
        ended.outcome = ended.id.sequence < log_.forgotten_before() ? v1::FORGOTTEN : v1::ABORTED;
        if (ASSENT_MUTANT(presumed_committed)) ended.outcome = v1::COMMITTED;
      }
      done(std::move(ended));
    });
  });
}

void Shard::ResolveRequest(const std::string& request_id, ResolveRequestDone done) {
  const auto in_memory = [this, request_id](ResolveRequestDone& found) {
    const auto entry = requests_.find(request_id);
    if (entry == requests_.end()) return false;
    if (const auto running = transactions_.find(entry->second); running != transactions_.end()) {
      found(KnownRequest{.running = running->second});
      return true;
    }
    const auto ended = remembered_.find(entry->second);
    if (ended == remembered_.end()) return false;
    found(KnownRequest{.ended = ended->second});
    return true;
  };
  if (in_memory(done)) return;
  if (!log_.RequestMayExist(request_id)) return done(KnownRequest());
  log_.FindRequest(request_id, [this, in_memory, done = std::move(done)](auto logged) mutable {
    scheduler_.Post([in_memory, done = std::move(done), logged = std::move(logged)]() mutable {
      // While the log was read the same request may have come again.
      if (in_memory(done)) return;
      if (!logged.ok()) return done(logged.status());
      if (!logged->has_value()) return done(KnownRequest());
      done(KnownRequest{.ended = EndedInTheLog(**logged)});
    });
  });
}

Participant* Shard::FindParticipant(std::string_view name) const {
  for (const auto& participant : participants_) {
    if (participant->name() == name) return participant.get();
  }
  return nullptr;
}

std::string Shard::ParticipantNames() const {
  return absl::StrJoin(participants_, ", ", [](std::string* out, const std::unique_ptr<Participant>& participant) {
    absl::StrAppend(out, "\"", std::string(participant->name()), "\"");
  });
}

v1::TransactionFailure Shard::Failure(const Transaction& transaction, v1::Outcome outcome, std::string reason) const {
  v1::TransactionFailure failure;
  failure.set_txn_id(transaction.id.ToString());
  failure.set_outcome(outcome);
  failure.set_reason(std::move(reason));
  return failure;
}

absl::Status Shard::CheckRequestId(std::string_view request_id) {
  if (request_id.size() <= kMaxRequestIdBytes) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("request_id has ", request_id.size(), " bytes, more than the ",
                                                 kMaxRequestIdBytes, " that are taken"));
}

// ---- Begin and Enlist -----------------------------------------------------------------------------------------------

template <typename Request>
absl::Status Shard::CheckRemembered(const Request& request) const {
  if (!request.has_first_attempt() || request.request_id().empty()) return absl::OkStatus();
  const absl::Time first_attempt = ToTime(request.first_attempt());
  // Also where the log still has all that it was ever told: it may be younger than the request.
  const absl::Time kept_since = std::max(log_.requests_forgotten_before(), clock_.Now() - options_.outcome_retention);
  if (first_attempt >= kept_since) return absl::OkStatus();
  v1::TransactionFailure failure;
  failure.set_outcome(v1::FORGOTTEN);
  failure.set_reason(absl::StrCat("request \"", request.request_id(), "\" was first made at ",
                                  absl::FormatTime(first_attempt, absl::UTCTimeZone()),
                                  ", before the oldest outcome that is kept: whether it was carried out is forgotten, "
                                  "and it is not run again"));
  return WithFailure(absl::StatusCode::kNotFound, failure);
}

template absl::Status Shard::CheckRemembered(const v1::AbortRequest&) const;
template absl::Status Shard::CheckRemembered(const v1::SubmitRequest&) const;

template <typename Request>
absl::Status Shard::CheckNew(const Request& request) const {
  if (absl::Status remembered = CheckRemembered(request); !remembered.ok()) return remembered;
  const absl::Duration asked = ToDuration(request.timeout());
  if (asked < absl::ZeroDuration() || asked > options_.max_timeout) {
    return absl::InvalidArgumentError(
        absl::StrCat("timeout is ", absl::FormatDuration(asked),
                     "; it must be between 0 (the default) and transactions.max_timeout = ",
                     absl::FormatDuration(options_.max_timeout)));
  }
  if (request.labels().size() > static_cast<std::size_t>(kMaxLabels)) {
    return absl::InvalidArgumentError(
        absl::StrCat(request.labels().size(), " labels are more than the ", kMaxLabels, " taken"));
  }
  for (const auto& [key, value] : request.labels()) {
    if (key.size() + value.size() > kMaxLabelBytes) {
      return absl::InvalidArgumentError(
          absl::StrCat("label \"", key.substr(0, 64), "\" has more than ", kMaxLabelBytes, " bytes with its value"));
    }
  }
  return absl::OkStatus();
}

template absl::Status Shard::CheckNew(const v1::BeginRequest&) const;
template absl::Status Shard::CheckNew(const v1::SubmitRequest&) const;

absl::Status Shard::CheckRoom() const {
  const std::size_t bound = std::max<std::size_t>(1, options_.max_open / place_.count);
  if (transactions_.size() < bound) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat(transactions_.size(), " transactions are open in shard ", place_.index,
                   ", its share of transactions.max_open = ", options_.max_open, "; finish some, or raise it"));
}

TransactionPtr Shard::Create(const std::string& request_id, const std::string& request_hash,
                             const google::protobuf::Duration& timeout,
                             const google::protobuf::Map<std::string, std::string>& labels) {
  auto transaction = std::make_shared<Transaction>();
  transaction->id = {.coordinator = log_.start().coordinator,
                     .epoch = log_.start().epoch,
                     .shard = place_.index,
                     .sequence = log_.NextSequence()};
  transaction->request_id = request_id;
  transaction->request_hash = request_hash;
  transaction->state.abort_is_recorded = !request_id.empty() && !ASSENT_MUTANT(abort_of_request_unrecorded);
  for (const auto& [key, value] : labels) transaction->labels[key] = value;
  const absl::Duration asked = ToDuration(timeout);
  const absl::Duration allowed = asked == absl::ZeroDuration() ? options_.default_timeout : asked;
  transaction->began = clock_.Now();
  transaction->deadline = transaction->began + allowed;
  transaction->deadline_timer = scheduler_.After(allowed, [this, transaction, allowed] {
    runner_.FeedFailure(transaction, protocol::DeadlinePassed{}, FailureAtDeadline(*transaction, allowed));
  });
  transactions_[transaction->id.sequence] = transaction;
  if (!request_id.empty()) requests_[request_id] = transaction->id.sequence;
  HitFailpoint(Failpoint::kBegun);
  return transaction;
}

v1::TransactionFailure Shard::FailureAtDeadline(const Transaction& transaction, absl::Duration allowed) const {
  v1::TransactionFailure failure =
      Failure(transaction, v1::ABORTED,
              absl::StrCat("transaction ", transaction.id.ToString(), " reached its deadline of ",
                           absl::FormatDuration(allowed), " before its decision"));
  for (std::size_t i = 0; i < transaction.branches.size(); ++i) {
    const protocol::Branch& state = transaction.state.branches[i];
    if (state.operations_outstanding == 0 && state.phase != protocol::BranchPhase::kPreparing) continue;
    const BranchRun& branch = transaction.branches[i];
    failure.set_branch(branch.name);
    failure.set_retryable(true);
    failure.mutable_reason()->append(absl::StrCat(
        ", waiting for the ", state.operations_outstanding > 0 ? "work" : "vote", " of branch \"", branch.name,
        "\" at participant \"", branch.participant_name, "\": ", branch.participant->health().message));
    return failure;
  }
  return failure;
}

void Shard::Begin(v1::BeginRequest request, Answer<v1::BeginResponse> answer) {
  if (const absl::Status named = CheckRequestId(request.request_id()); !named.ok()) return answer(named);
  const auto describe = [](const v1::TransactionDescription& description) {
    v1::BeginResponse response;
    response.set_txn_id(description.txn_id());
    response.set_state(description.state());
    *response.mutable_deadline() = description.deadline();
    return response;
  };
  const auto create = [this, describe](const v1::BeginRequest& begin, const std::string& hash,
                                       Answer<v1::BeginResponse> reply) {
    if (const absl::Status taken = CheckNew(begin); !taken.ok()) return reply(taken);
    if (const absl::Status room = CheckRoom(); !room.ok()) return reply(room);
    reply(describe(assent::Describe(*Create(begin.request_id(), hash, begin.timeout(), begin.labels()))));
  };
  if (request.request_id().empty()) return create(request, "", std::move(answer));
  const std::string hash = HashOfRequest(request);
  const std::string request_id = request.request_id();
  ResolveRequest(request_id, [this, request = std::move(request), hash, describe, create,
                              answer = std::move(answer)](auto known) mutable {
    if (!known.ok()) return answer(known.status());
    const auto& [running, ended] = *known;
    if (!running && !ended) return create(request, hash, std::move(answer));
    if (const absl::Status same = CheckSameRequest(request.request_id(), hash, running.get(), ended); !same.ok()) {
      return answer(same);
    }
    answer(describe(running ? assent::Describe(*running) : assent::Describe(*ended)));
  });
}

absl::Status Shard::CheckSameRequest(const std::string& request_id, const std::string& hash, const Transaction* running,
                                     const std::optional<EndedTransaction>& ended) const {
  const std::string& before = running != nullptr ? running->request_hash : ended->request_hash;
  // An Abort of a request that had not come yet knows no hash: it bars whatever comes.
  if (before.empty() || before == hash) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "request_id \"", request_id, "\" was used before for another request, transaction ",
      (running != nullptr ? running->id : ended->id).ToString(), "; a request_id names one request for ever"));
}

// ---- Foreign work ---------------------------------------------------------------------------------------------------

// No process of this epoch can have done anything there.
std::vector<std::string> Shard::ForeignBeforeTakeOver(const Participant& participant, const OwnWork& work) const {
  return ForeignWork(work, log_.start(), std::string(participant.name()), options_.adopt,
                     [](const TxnId&) { return false; });
}

void Shard::TakeOver(const std::string& name) {
  Participant* const participant = FindParticipant(name);
  if (!take_overs_.Add(participant)) return;
  participant->TakeOver();
  for (const TransactionPtr& transaction : AllRunning()) runner_.FinishAt(transaction, participant);
  sweep_->SweepSoon(participant);
}

void Shard::NoteSilence(const std::string& name, const std::string& why) {
  take_overs_.NoteSilence(FindParticipant(name), why);
}

void Shard::NoteForeign(const std::string& name, const std::vector<std::string>& foreign) {
  const Participant* const participant = FindParticipant(name);
  if (!take_overs_.NoteForeign(participant, foreign) || place_.index != 0) return;
  spdlog::error("{}. Until then it takes no new branches", take_overs_.WhyNot(participant));
}

absl::Status StatusOfEnded(const EndedTransaction& ended) {
  v1::TransactionFailure failure = ended.failure;
  failure.set_txn_id(ended.id.ToString());
  failure.set_outcome(ended.outcome);
  switch (ended.outcome) {
    case v1::COMMITTED:
      failure.set_reason(absl::StrCat("transaction ", failure.txn_id(), " has committed: it takes no more work"));
      return WithFailure(absl::StatusCode::kFailedPrecondition, failure);
    case v1::FORGOTTEN:
      failure.set_reason(absl::StrCat("transaction ", failure.txn_id(),
                                      " is older than transactions.outcome_retention: what became of it is forgotten"));
      return WithFailure(absl::StatusCode::kNotFound, failure);
    case v1::NEVER_EXISTED:
      return WithFailure(absl::StatusCode::kNotFound, failure);
    default:
      if (failure.reason().empty()) {
        failure.set_reason(absl::StrCat("transaction ", failure.txn_id(),
                                        " was rolled back; why is known only to the process that did it"));
      }
      return WithFailure(absl::StatusCode::kAborted, failure);
  }
}

}  // namespace assent
