#include "cli/offline/offline_recovery.h"

#include <algorithm>
#include <future>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/clock.h"
#include "cli/offline/recovered_participant.h"
#include "cli/words.h"
#include "coordinator/log/read_only_log.h"
#include "coordinator/protocol/transition.h"

namespace assent::cli {
namespace {

constexpr absl::Duration kLook = absl::Milliseconds(50);  // between two looks at how far it is
constexpr absl::Duration kHurry = absl::Seconds(1);       // between two requests to retry and sweep now
constexpr std::int32_t kPageSize = 1000;

// An engine on a log, and what its participants have said. Destroyed in reverse: the engine writes to the log.
struct RunningRecovery {
  std::unique_ptr<DecisionLog> log;
  RecoveryProgress progress;
  std::unique_ptr<Engine> engine;
};

absl::Status StartRecovery(const DownCoordinator& coordinator, bool apply, RunningRecovery& running) {
  auto log = apply ? OpenDecisionLog(coordinator.log) : OpenDecisionLogReadOnly(coordinator.log);
  if (!log.ok()) return log.status();
  running.log = *std::move(log);
  std::vector<ParticipantFactory> factories;
  for (const ParticipantFactory& factory : coordinator.participants) {
    factories.push_back(Recovered(factory, running.progress, apply));
  }
  auto engine = Engine::Start(coordinator.engine, *running.log, SystemClock(), std::move(factories));
  if (!engine.ok()) return engine.status();
  running.engine = *std::move(engine);
  return running.engine->CheckIdentity(coordinator.patience, [] { return false; });
}

template <typename Response, typename Request>
absl::StatusOr<Response> Ask(Engine& engine, void (Engine::*call)(Request, Reply<Response>), Request request) {
  auto promise = std::make_shared<std::promise<absl::StatusOr<Response>>>();
  (engine.*call)(std::move(request),
                 [promise](absl::StatusOr<Response> response) { promise->set_value(std::move(response)); });
  return promise->get_future().get();
}

// Everything that has not ended, after the sweep has owned what it has found so far.
absl::StatusOr<std::vector<v1::TransactionDescription>> ListAll(RunningRecovery& running) {
  running.log->Drain();
  std::vector<v1::TransactionDescription> all;
  v1::ListTransactionsRequest request;
  request.set_page_size(kPageSize);
  do {
    auto page = Ask(*running.engine, &Engine::ListTransactions, request);
    if (!page.ok()) return page.status();
    for (auto& transaction : *page->mutable_transactions()) all.push_back(std::move(transaction));
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  return all;
}

bool IsIn(const v1::BranchDescription& branch, protocol::BranchPhase phase) {
  return branch.state() == protocol::Name(phase);
}

bool IsToBeEnded(const v1::BranchDescription& branch) {
  return IsIn(branch, protocol::BranchPhase::kCommitting) || IsIn(branch, protocol::BranchPhase::kAborting);
}

std::string WhyOf(const v1::TransactionDescription& transaction) {
  if (transaction.state() != v1::STATE_COMMITTING) {
    return "the log has no decision for it: an undecided transaction is aborted";
  }
  if (!transaction.has_decided_at()) {
    return "it was committed, and its participant holds it prepared again, as after a failover that had lost the "
           "commit";
  }
  const absl::Time decided = absl::FromUnixSeconds(transaction.decided_at().seconds());
  return absl::StrCat("the log holds its decision to commit, of ",
                      absl::FormatTime("%Y-%m-%d %H:%M:%S %z", decided, absl::LocalTimeZone()));
}

v1::RecoveryStep StepOf(const v1::TransactionDescription& transaction, const v1::BranchDescription& branch) {
  v1::RecoveryStep step;
  step.set_participant(branch.participant());
  step.set_txn_id(transaction.txn_id());
  step.set_branch(branch.branch());
  step.set_token(branch.token());
  step.set_action(IsIn(branch, protocol::BranchPhase::kCommitting) ? "commit" : "rollback");
  step.set_why(WhyOf(transaction));
  return step;
}

// What is not a branch of a known transaction.
void AddOtherSteps(const v1::ParticipantDescription& participant, const RecoveryProgress::Listed& listed,
                   v1::RecoveryPlan& plan) {
  for (const std::string& id : listed.left_open) {
    v1::RecoveryStep& step = *plan.add_steps();
    step.set_participant(participant.name());
    step.set_token(id);
    step.set_action("rollback");
    step.set_why("a transaction is open under this id, and no decision in the log needs it");
  }
  for (const std::string& id : participant.left_alone()) {
    v1::RecoveryStep& step = *plan.add_steps();
    step.set_participant(participant.name());
    step.set_token(id);
    step.set_action("none");
    step.set_why(absl::StrCat("it is ", WhyLeftAlone(participant.kind())));
  }
}

}  // namespace

absl::StatusOr<v1::RecoveryPlan> PlanRecovery(const DownCoordinator& coordinator) {
  const absl::Time end = absl::Now() + coordinator.patience;
  RunningRecovery running;
  if (absl::Status started = StartRecovery(coordinator, /*apply=*/false, running); !started.ok()) return started;
  const auto participants = Ask(*running.engine, &Engine::ListParticipants, v1::ListParticipantsRequest());
  if (!participants.ok()) return participants.status();
  for (const v1::ParticipantDescription& participant : participants->participants()) {
    while (!running.progress.Of(participant.name()).since_taken_over && absl::Now() < end) absl::SleepFor(kLook);
  }
  const auto transactions = ListAll(running);
  if (!transactions.ok()) return transactions.status();
  v1::RecoveryPlan plan;
  for (const v1::TransactionDescription& transaction : *transactions) {
    for (const v1::BranchDescription& branch : transaction.branches()) {
      if (IsToBeEnded(branch)) *plan.add_steps() = StepOf(transaction, branch);
    }
  }
  const auto now = Ask(*running.engine, &Engine::ListParticipants, v1::ListParticipantsRequest());
  if (!now.ok()) return now.status();
  for (const v1::ParticipantDescription& participant : now->participants()) {
    const RecoveryProgress::Listed listed = running.progress.Of(participant.name());
    if (!listed.since_taken_over) plan.add_unreachable(absl::StrCat(participant.name(), ": ", participant.health()));
    AddOtherSteps(participant, listed, plan);
  }
  return plan;
}

namespace {

// How far an applied recovery is.
absl::StatusOr<RecoveryResult> LookAt(RunningRecovery& running) {
  RecoveryResult result;
  const auto participants = Ask(*running.engine, &Engine::ListParticipants, v1::ListParticipantsRequest());
  if (!participants.ok()) return participants.status();
  for (const v1::ParticipantDescription& participant : participants->participants()) {
    const RecoveryProgress::Listed listed = running.progress.Of(participant.name());
    if (!listed.since_taken_over) {
      result.unreachable.push_back(absl::StrCat(participant.name(), ": ", participant.health()));
    }
    result.left += static_cast<std::int64_t>(listed.left_open.size());
  }
  const auto transactions = ListAll(running);
  if (!transactions.ok()) return transactions.status();
  for (const v1::TransactionDescription& transaction : *transactions) {
    // One without such a branch is having its end written.
    const auto& branches = transaction.branches();
    result.left += std::max<std::int64_t>(1, std::count_if(branches.begin(), branches.end(), IsToBeEnded));
  }
  return result;
}

}  // namespace

absl::StatusOr<RecoveryResult> ApplyRecovery(const DownCoordinator& coordinator,
                                             const std::function<void(std::int64_t)>& left) {
  RunningRecovery running;
  if (absl::Status started = StartRecovery(coordinator, /*apply=*/true, running); !started.ok()) return started;
  std::int64_t last = -1;
  absl::Time last_progress = absl::Now();
  absl::Time last_hurry = absl::Now();
  for (;;) {
    auto result = LookAt(running);
    if (!result.ok() || (result->left == 0 && result->unreachable.empty())) return result;
    if (result->left != last) {
      left(result->left);
      last = result->left;
      last_progress = absl::Now();
    }
    if (absl::Now() - last_progress > coordinator.patience) return result;
    if (absl::Now() - last_hurry > kHurry) {
      last_hurry = absl::Now();
      const auto hurried = Ask(*running.engine, &Engine::Recover, v1::RecoverRequest());
      if (!hurried.ok()) return hurried.status();
    }
    absl::SleepFor(kLook);
  }
}

}  // namespace assent::cli
