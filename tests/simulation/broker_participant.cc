#include "tests/simulation/broker_participant.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace assent::simulation {
namespace {

constexpr absl::Duration kRequestTimeout = absl::Seconds(1);
constexpr absl::Duration kPauseAfterFailure = absl::Milliseconds(500);
constexpr absl::Duration kPatienceForAnId = absl::Seconds(2);
constexpr int kProduceAttempts = 3;
constexpr std::uint32_t kIdsOfAShard = 2;

using State = BrokerServer::State;

}  // namespace

std::string BrokerParticipant::IdOf(std::uint32_t number) const {
  return TransactionalId{.coordinator = coordinator_, .number = number}.ToString();
}

std::string BrokerParticipant::TokenOf(const Session& session) {
  return absl::StrCat(session.number, ":", session.epoch);
}

std::optional<BrokerParticipant::Session> BrokerParticipant::ParseToken(const std::string& token) {
  const std::vector<std::string> parts = absl::StrSplit(token, ':');
  Session session;
  if (parts.size() != 2 || !absl::SimpleAtoi(parts[0], &session.number)) return std::nullopt;
  if (!absl::SimpleAtoi(parts[1], &session.epoch)) return std::nullopt;
  return session;
}

template <typename Answer>
void BrokerParticipant::Ask(std::function<Answer(BrokerServer&)> request,
                            absl::AnyInvocable<void(std::optional<Answer>)> done) {
  calls_.Call<Answer>(
      server_.machine(), kRequestTimeout,
      [&server = server_, request = std::move(request)](auto reply) {
        if (server.is_up()) reply(request(server));
      },
      [this, done = std::move(done)](std::optional<Answer> answer) mutable {
        Reached(answer.has_value());
        done(std::move(answer));
      });
}

void BrokerParticipant::Reached(bool is_reached) {
  if (is_reached && !is_reached_) loop_.Post([this] { on_available_(); });
  is_reached_ = is_reached;
}

// ---- Transactional ids ----------------------------------------------------------------------------------------------

void BrokerParticipant::Start(std::vector<std::string> unfinished_tokens, std::function<void()> on_available) {
  on_available_ = std::move(on_available);
  for (const std::string& token : unfinished_tokens) {
    if (const auto session = ParseToken(token)) pinned_.insert(session->number);
  }
}

void BrokerParticipant::TakeOver() {
  FenceLeftBehind();
  // Those that are pinned belong to whoever finishes their transactions.
  for (std::uint32_t number = place_.shard; known_.size() < kIdsOfAShard; number += place_.shards) {
    if (!pinned_.contains(number) && known_.insert(number).second) Fence(number);
  }
}

// Every id of ours that no decision pins: a transaction of a dead process may be open under it.
void BrokerParticipant::FenceLeftBehind() {
  Ask<std::vector<std::string>>(
      [](BrokerServer& server) { return server.List(); },
      [this](auto names) {
        if (!names) {
          loop_.After(kPauseAfterFailure, [this] { FenceLeftBehind(); });
          return;
        }
        for (const std::string& name : *names) {
          const auto id = ParseTransactionalId(name);
          if (!id || id->coordinator != coordinator_ || id->number % place_.shards != place_.shard) continue;
          if (!pinned_.contains(id->number) && known_.insert(id->number).second) Fence(id->number);
        }
      });
}

// A copy of this InitProducerId that arrives late finds another epoch, and does nothing.
void BrokerParticipant::Fence(std::uint32_t number) {
  Ask<BrokerServer::Described>([id = IdOf(number)](BrokerServer& server) { return server.Describe(id); },
                               [this, number](auto described) {
                                 if (!described) return FenceAgain(number);
                                 Ask<BrokerServer::Answer>(
                                     [id = IdOf(number), expected = described->epoch](BrokerServer& server) {
                                       return server.InitProducerId(id, expected);
                                     },
                                     [this, number](auto answer) {
                                       if (!answer || answer->error != BrokerServer::Error::kNone)
                                         return FenceAgain(number);
                                       free_[number] = {.number = number, .epoch = answer->epoch};
                                       ServeWaiters();
                                     });
                               });
}

void BrokerParticipant::FenceAgain(std::uint32_t number) {
  loop_.After(kPauseAfterFailure, [this, number] { Fence(number); });
}

// ---- Work and vote --------------------------------------------------------------------------------------------------

absl::Status BrokerParticipant::Open(const BranchId& branch, const v1::BranchOptions& options, absl::Time) {
  branches_[branch.ToGid()].is_ordered = options.kafka().order() != v1::UNORDERED;
  return absl::OkStatus();
}

void BrokerParticipant::Execute(const BranchId& branch, v1::Operation operation, ExecuteDone done) {
  const std::string gid = branch.ToGid();
  for (const v1::KafkaRecord& record : operation.kafka().records()) {
    branches_[gid].records.push_back({.gid = gid, .operation = record.value()});
  }
  ExecuteOutcome outcome{.ok = true};
  outcome.result.mutable_kafka()->set_records(operation.kafka().records_size());
  done(std::move(outcome));
}

void BrokerParticipant::Prepare(const BranchId& branch, PrepareDone done) {
  const std::string gid = branch.ToGid();
  if (branches_[gid].records.empty()) return done({.kind = Vote::Kind::kReadOnly});
  waiters_.push_back({gid, branch, std::move(done)});
  loop_.After(kPatienceForAnId, [this, gid] {
    const auto late = std::find_if(waiters_.begin(), waiters_.end(), [&](const Waiter& w) { return w.gid == gid; });
    if (late == waiters_.end()) return;
    PrepareDone refused = std::move(late->done);
    waiters_.erase(late);
    refused({.kind = Vote::Kind::kNo, .error = {.message = "no transactional id became free"}});
  });
  ServeWaiters();
}

void BrokerParticipant::ServeWaiters() {
  while (!waiters_.empty() && !free_.empty()) {
    Waiter waiter = std::move(waiters_.front());
    waiters_.pop_front();
    Branch& branch = branches_[waiter.gid];
    branch.session = free_.extract(free_.begin()).mapped();
    if (branch.is_ordered) judge_.RecordsProduced(waiter.branch);
    Produce(waiter.branch, 1, std::move(waiter.done));
  }
}

void BrokerParticipant::Produce(const BranchId& id, int attempts, PrepareDone done) {
  const Branch& branch = branches_[id.ToGid()];
  const Session session = *branch.session;
  Ask<BrokerServer::Error>(
      [name = IdOf(session.number), session, records = branch.records](BrokerServer& server) {
        return server.Produce(name, session.epoch, 1, records);
      },
      [this, id, attempts, session, done = std::move(done)](auto error) mutable {
        if (!error && attempts < kProduceAttempts) return Produce(id, attempts + 1, std::move(done));
        const std::string token = TokenOf(session);
        if (!error) {
          branches_[id.ToGid()].is_in_doubt = true;
          return done({.kind = Vote::Kind::kUnknown, .token = token, .error = {.message = "no answer"}});
        }
        branches_[id.ToGid()].is_prepared = *error == BrokerServer::Error::kNone;
        if (*error == BrokerServer::Error::kNone) return done({.kind = Vote::Kind::kYes, .token = token});
        done({.kind = Vote::Kind::kNo, .error = {.message = "fenced"}});
      });
}

// ---- Phase two ------------------------------------------------------------------------------------------------------

void BrokerParticipant::Commit(const BranchId& id, const std::string& token, FinishDone done) {
  const auto session = ParseToken(token);
  if (!session) return done({.kind = Finish::Kind::kHeuristic, .message = absl::StrCat("no token: ", token)});
  EndTxn(id, *session, /*commit=*/true, std::move(done));
}

void BrokerParticipant::Abort(const BranchId& id, const std::string&, FinishDone done) {
  const auto found = branches_.find(id.ToGid());
  if (found == branches_.end() || !found->second.session) return done({.kind = Finish::Kind::kDone});
  if (found->second.is_prepared) return EndTxn(id, *found->second.session, /*commit=*/false, std::move(done));
  AbortInDoubt(id, *found->second.session, std::move(done));
}

// Its records may still be on their way: only a new epoch keeps them out.
void BrokerParticipant::AbortInDoubt(const BranchId& id, Session session, FinishDone done) {
  Ask<BrokerServer::Answer>([name = IdOf(session.number),
                             session](BrokerServer& server) { return server.InitProducerId(name, session.epoch); },
                            [this, id, session, done = std::move(done)](auto answer) mutable {
                              if (!answer) return done({.kind = Finish::Kind::kRetry, .message = "no answer"});
                              branches_[id.ToGid()].is_in_doubt = false;
                              // Another epoch already: an earlier attempt has begun it.
                              if (answer->error == BrokerServer::Error::kNone) {
                                branches_[id.ToGid()].next = {.number = session.number, .epoch = answer->epoch};
                              }
                              done({.kind = Finish::Kind::kDone});
                            });
}

void BrokerParticipant::EndTxn(const BranchId& id, Session session, bool commit, FinishDone done) {
  Ask<BrokerServer::Answer>([name = IdOf(session.number), session,
                             commit](BrokerServer& server) { return server.EndTxn(name, session.epoch, commit); },
                            [this, id, session, commit, done = std::move(done)](auto answer) mutable {
                              if (!answer) return done({.kind = Finish::Kind::kRetry, .message = "no answer"});
                              if (answer->error != BrokerServer::Error::kNone) {
                                judge_.Reached("ends that only the state of an id tells");
                                return Describe(session, commit, std::move(done));
                              }
                              // V1 stays in its epoch, where a copy of this EndTxn would end the id's next transaction:
                              // it is fenced first.
                              if (!server_.is_v1())
                                branches_[id.ToGid()].next = {.number = session.number, .epoch = answer->epoch};
                              done({.kind = Finish::Kind::kDone});
                            });
}

// For a pinned id its state alone answers.
void BrokerParticipant::Describe(Session session, bool commit, FinishDone done) {
  Ask<BrokerServer::Described>([name = IdOf(session.number)](BrokerServer& server) { return server.Describe(name); },
                               [commit, done = std::move(done)](auto described) mutable {
                                 const State asked = commit ? State::kCompleteCommit : State::kCompleteAbort;
                                 if (!described || described->state == State::kOngoing) {
                                   return done({.kind = Finish::Kind::kRetry, .message = "still open"});
                                 }
                                 if (described->state == asked || (!commit && described->state == State::kEmpty)) {
                                   return done({.kind = Finish::Kind::kDone});
                                 }
                                 done({.kind = Finish::Kind::kHeuristic, .message = "Kafka has ended it otherwise"});
                               });
}

void BrokerParticipant::Forget(const BranchId& id, const std::string& token) {
  std::optional<Session> session = ParseToken(token);
  std::optional<Session> next;
  if (auto branch = branches_.extract(id.ToGid()); !branch.empty()) {
    if (branch.mapped().session) session = branch.mapped().session;
    next = branch.mapped().next;
    if (branch.mapped().is_in_doubt) judge_.Broken("forgotten while in doubt: ", id.ToGid());
  }
  if (!session) return;
  // One that an earlier process used, perhaps in another shard of its own, is this shard's from now on.
  pinned_.erase(session->number);
  known_.insert(session->number);
  if (!next) return Fence(session->number);
  free_[session->number] = *next;
  ServeWaiters();
}

void BrokerParticipant::ListOwn(ListDone done) {
  Ask<std::vector<std::string>>([](BrokerServer& server) { return server.List(); },
                                [this, done = std::move(done)](auto names) mutable {
                                  if (!names) return done(absl::UnavailableError("no answer"));
                                  OwnWork work;
                                  for (const std::string& name : *names) {
                                    const auto id = ParseTransactionalId(name);
                                    if (!id || id->coordinator.name != coordinator_.name) continue;
                                    if (id->coordinator != coordinator_) work.foreign.push_back(name);
                                  }
                                  done(std::move(work));
                                });
}

}  // namespace assent::simulation
