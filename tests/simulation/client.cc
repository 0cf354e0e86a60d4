#include "tests/simulation/client.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace assent::simulation {
namespace {

bool IsFinal(v1::Outcome outcome) { return outcome == v1::COMMITTED || outcome == v1::ABORTED; }

}  // namespace

Client::Client(World world, std::string name, std::vector<Store> stores, std::uint64_t jobs)
    : world_(world),
      name_(std::move(name)),
      stores_(std::move(stores)),
      calls_(world.queue, world.network, world.network.AddMachine(name_), nullptr),
      jobs_left_(jobs) {}

void Client::Start(absl::Duration latest) { After(latest, &Client::NextJob); }

void Client::After(absl::Duration longest, void (Client::*next)()) {
  world_.queue.After(world_.random.Between(absl::ZeroDuration(), longest), [this, next] { (this->*next)(); });
}

template <typename Request, typename Response>
void Client::Call(void (CoordinatorProcess::*call)(Request, Reply<Response>), const Request& request,
                  void (Client::*then)(const absl::StatusOr<Response>&), bool is_repeatable) {
  world_.trace.Note(name_, " calls: ", Request::descriptor()->name(), " ", txn_id_);
  calls_.Call<absl::StatusOr<Response>>(
      world_.coordinator.machine(), world_.random.Between(absl::Milliseconds(300), absl::Seconds(6)),
      [&coordinator = world_.coordinator, call, request](auto reply) { coordinator.Receive(call, request, reply); },
      [this, then](std::optional<absl::StatusOr<Response>> response) {
        world_.trace.Note(name_, " hears: ", Response::descriptor()->name(), " ",
                          response ? absl::StatusCodeToString(response->status().code()) : "nothing");
        (this->*then)(response ? *response : absl::UnavailableError("no answer"));
      },
      is_repeatable ? Network::Copies::kMayBeMore : Network::Copies::kOne);
}

// ---- Jobs -----------------------------------------------------------------------------------------------------------

void Client::NextJob() {
  if (jobs_left_ == 0) {
    is_done_ = true;
    return;
  }
  --jobs_left_;
  MakeJob();
  if (!only_submits_ && world_.random.OneIn(8)) Meddle();
  if (is_submit_) {
    Submit();
  } else {
    Begin();
  }
}

void Client::MakeJob() {
  Random& random = world_.random;
  ++job_;
  const std::string key = absl::StrCat(name_, "-", job_);
  is_submit_ = only_submits_ || random.OneIn(2);
  unordered_ = random.OneIn(4);
  request_id_ = only_submits_ || !random.OneIn(4) ? key : "";
  txn_id_.clear();
  settled_ = v1::OUTCOME_UNSPECIFIED;
  wait_ = static_cast<v1::Wait>(random.Below(4));
  branches_.clear();
  for (const Store& store : stores_) {
    if (!only_submits_ && random.OneIn(4)) continue;
    // Now and then one without work: it has nothing to commit.
    const std::uint64_t operations = random.OneIn(10) ? 0 : random.Between(1, 3);
    branches_.push_back({store, absl::StrCat(key, "/", store.name), operations});
    world_.judge.Plan(branches_.back().key, operations);
  }
  branch_ = 0;
  operation_ = 0;
}

v1::Operation Client::OperationOf(const Branch& branch, std::uint64_t number) const {
  v1::Operation operation;
  const std::string text = absl::StrCat(branch.key, "/", number);
  if (branch.store.is_broker) {
    operation.mutable_kafka()->add_records()->set_value(text);
  } else {
    operation.mutable_sql()->add_statements()->set_sql(text);
  }
  return operation;
}

v1::BranchOptions Client::OptionsOf(const Branch& branch) const {
  v1::BranchOptions options;
  if (branch.store.is_broker && unordered_) options.mutable_kafka()->set_order(v1::UNORDERED);
  return options;
}

// ---- In one call ----------------------------------------------------------------------------------------------------

void Client::Submit() {
  v1::SubmitRequest request;
  request.set_request_id(request_id_);
  request.set_wait(wait_);
  for (const Branch& branch : branches_) {
    v1::SubmitBranch& submitted = *request.add_branches();
    submitted.set_participant(branch.store.name);
    *submitted.mutable_options() = OptionsOf(branch);
    for (std::uint64_t i = 1; i <= branch.operations; ++i) *submitted.add_operations() = OperationOf(branch, i);
  }
  Call(&CoordinatorProcess::Submit, request, &Client::Submitted, /*is_repeatable=*/!request_id_.empty());
}

void Client::Submitted(const absl::StatusOr<v1::SubmitResponse>& response) {
  if (response.ok() && response->results_omitted()) world_.judge.Reached("repeats answered from the log");
  const Said said = OutcomeIn(response);
  if (IsFinal(said.outcome)) return Settle(said);
  if (request_id_.empty()) return NextJob();  // nobody will ever know
  if (!response.ok() && absl::IsInvalidArgument(response.status())) {
    return world_.judge.Broken("a repeat is refused: ", std::string(response.status().message()));
  }
  FindOut();
}

// ---- Step by step ---------------------------------------------------------------------------------------------------

void Client::Begin() {
  v1::BeginRequest request;
  request.set_request_id(request_id_);
  Call(&CoordinatorProcess::Begin, request, &Client::Begun, /*is_repeatable=*/!request_id_.empty());
}

void Client::Begun(const absl::StatusOr<v1::BeginResponse>& response) {
  if (!response.ok()) return After(absl::Seconds(1), &Client::Begin);
  txn_id_ = response->txn_id();
  branch_ = 0;
  operation_ = 0;
  if (response->state() != v1::STATE_ACTIVE) return Ask();
  NextStep();
}

void Client::NextStep() {
  if (world_.random.OneIn(60)) return NextJob();  // it is gone; the deadline ends what it left
  if (branch_ == branches_.size()) return world_.random.OneIn(8) ? Abort() : Commit();
  if (operation_ == 0) return Enlist();
  if (operation_ <= branches_[branch_].operations) return Execute();
  ++branch_;
  operation_ = 0;
  NextStep();
}

void Client::Enlist() {
  v1::EnlistRequest request;
  request.set_txn_id(txn_id_);
  request.set_participant(branches_[branch_].store.name);
  request.set_branch(branches_[branch_].store.name);
  *request.mutable_options() = OptionsOf(branches_[branch_]);
  Call(&CoordinatorProcess::Enlist, request, &Client::Enlisted);
}

void Client::Enlisted(const absl::StatusOr<v1::EnlistResponse>& response) {
  if (!response.ok()) return StepFailed(response.status(), &Client::Enlist);
  operation_ = 1;
  NextStep();
}

v1::ExecuteRequest Client::RequestOf(std::uint64_t operation) const {
  v1::ExecuteRequest request;
  request.set_txn_id(txn_id_);
  request.set_branch(branches_[branch_].store.name);
  request.set_operation_number(static_cast<std::int64_t>(operation));
  *request.mutable_operation() = OperationOf(branches_[branch_], operation);
  return request;
}

void Client::Execute() {
  Call(&CoordinatorProcess::Execute, RequestOf(operation_), &Client::Executed);
  // Some do not wait for one answer before they send the next operation, and send it again when its turn comes.
  if (operation_ < branches_[branch_].operations && world_.random.OneIn(4)) {
    Call(&CoordinatorProcess::Execute, RequestOf(operation_ + 1), &Client::Ignore<v1::ExecuteResponse>);
  }
}

void Client::Executed(const absl::StatusOr<v1::ExecuteResponse>& response) {
  if (!response.ok()) return StepFailed(response.status(), &Client::Execute);
  ++operation_;
  NextStep();
}

void Client::StepFailed(const absl::Status& status, void (Client::*again)()) {
  const Said said = OutcomeIn(status);
  if (IsFinal(said.outcome)) return Settle(said);
  if (absl::IsUnavailable(status) && !world_.random.OneIn(8)) return After(absl::Seconds(1), again);
  // Some go on although a part has failed: that must not commit.
  world_.random.OneIn(3) ? Commit() : Abort();
}

void Client::Commit() {
  v1::CommitRequest request;
  request.set_txn_id(txn_id_);
  request.set_wait(wait_);
  for (const Branch& branch : branches_) {
    (*request.mutable_operations())[branch.store.name] = static_cast<std::int64_t>(branch.operations);
  }
  Call(&CoordinatorProcess::Commit, request, &Client::Committed);
}

void Client::Committed(const absl::StatusOr<v1::CommitResponse>& response) {
  const Said said = OutcomeIn(response);
  if (IsFinal(said.outcome)) return Settle(said);
  if (absl::IsFailedPrecondition(response.status())) return Abort();  // work is missing
  FindOut();
}

// ---- Finding out ----------------------------------------------------------------------------------------------------

void Client::FindOut() {
  Random& random = world_.random;
  const bool may_repeat = !is_submit_ || !request_id_.empty();
  if (!may_repeat || random.OneIn(3)) return After(absl::Seconds(1), &Client::Ask);
  if (random.OneIn(8)) return After(absl::Seconds(1), &Client::Abort);
  After(absl::Seconds(1), is_submit_ ? &Client::Submit : &Client::Commit);
}

void Client::Ask() {
  v1::GetTransactionRequest request;
  if (txn_id_.empty()) {
    request.set_request_id(request_id_);
  } else {
    request.set_txn_id(txn_id_);
  }
  Call(&CoordinatorProcess::GetTransaction, request, &Client::Told);
}

void Client::Told(const absl::StatusOr<v1::TransactionDescription>& response) {
  const Said said = OutcomeIn(response);
  if (IsFinal(said.outcome)) return Settle(said);
  if (said.outcome == v1::NEVER_EXISTED && !txn_id_.empty()) {
    return world_.judge.Broken("told that it never existed: ", txn_id_);
  }
  FindOut();
}

void Client::Abort() {
  v1::AbortRequest request;
  if (txn_id_.empty()) {
    request.set_request_id(request_id_);
  } else {
    request.set_txn_id(txn_id_);
  }
  Call(&CoordinatorProcess::Abort, request, &Client::Aborted);
}

void Client::Aborted(const absl::StatusOr<v1::AbortResponse>& response) {
  const Said said = OutcomeIn(response);
  if (IsFinal(said.outcome)) return Settle(said);
  After(absl::Seconds(1), &Client::Abort);
}

// Bars, or asks after, a request that may be somebody else's and may not have come yet.
void Client::Meddle() {
  const std::string request_id = absl::StrCat("c", world_.random.Below(3), "-", world_.random.Between(1, 4));
  if (world_.random.OneIn(2)) {
    v1::AbortRequest request;
    request.set_request_id(request_id);
    return Call(&CoordinatorProcess::Abort, request, &Client::Ignore<v1::AbortResponse>);
  }
  v1::GetTransactionRequest request;
  request.set_request_id(request_id);
  Call(&CoordinatorProcess::GetTransaction, request, &Client::Ignore<v1::TransactionDescription>);
}

void Client::Settle(const Said& said) {
  if (settled_ != v1::OUTCOME_UNSPECIFIED && settled_ != said.outcome) {
    return world_.judge.Broken(name_, " job ", job_, " is told ", v1::Outcome_Name(said.outcome), " after ",
                               v1::Outcome_Name(settled_));
  }
  if (is_submit_ && request_id_.empty()) txn_id_ = said.txn_id;
  const bool is_first = std::exchange(settled_, said.outcome) == v1::OUTCOME_UNSPECIFIED;
  if (is_first && world_.random.OneIn(3)) return FindOut();  // asks once more
  // Rolled back without a trace, by a process that died: under its request_id it may be tried again.
  if (!is_submit_ && said.outcome == v1::ABORTED && !request_id_.empty() && world_.random.OneIn(3)) {
    settled_ = v1::OUTCOME_UNSPECIFIED;
    return After(absl::Seconds(1), &Client::Begin);
  }
  After(absl::Seconds(2), &Client::NextJob);
}

}  // namespace assent::simulation
