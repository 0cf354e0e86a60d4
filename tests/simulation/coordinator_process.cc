#include "tests/simulation/coordinator_process.h"

#include <utility>

namespace assent::simulation {
namespace {

constexpr absl::Duration kLongestStartPatience = absl::Seconds(3);
constexpr absl::Duration kLook = absl::Milliseconds(100);

}  // namespace

CoordinatorProcess::CoordinatorProcess(const EngineOptions& options, EventQueue& queue, Random& random, Trace& trace,
                                       ProcessPtr process, std::unique_ptr<SimulatedLog> log,
                                       const MakeParticipants& make_participants)
    : options_(options),
      trace_(trace),
      process_(std::move(process)),
      log_(std::move(log)),
      routing_(log_->start(), options.shards),
      patience_left_(random.Between(absl::ZeroDuration(), kLongestStartPatience)) {
  trace_.Note("coordinator starts: epoch ", log_->start().epoch, ", ", options_.shards, " shards, ",
              log_->start().unfinished.size(), " unfinished");
  std::vector<std::string> names;
  for (std::uint32_t i = 0; i < options_.shards; ++i) {
    loops_.push_back(std::make_unique<Loop>(queue, random, process_));
    auto participants = make_participants(process_, *loops_[i], i);
    names.clear();
    for (const auto& participant : participants) names.emplace_back(participant->name());
    shards_.push_back(std::make_unique<Shard>(
        options_, Shard::Place{i, options_.shards}, routing_, *log_, *process_, *loops_[i], std::move(participants),
        [this](const std::string& participant, const absl::StatusOr<Shard::FirstLook>& look) {
          gate_->Hear(participant, look);
        }));
    loops_[i]->Post([shard = shards_[i].get()] { shard->Start(); });
  }
  gate_ = std::make_unique<TakeOverGate>(*log_, names,
                                         [this](const std::function<void(Shard&)>& task) { TellShards(task); });
  loops_[0]->Post([this] { CheckIdentity(); });
}

// As ShardedEngine::CheckIdentity(), without a thread that waits.
void CoordinatorProcess::CheckIdentity() {
  if (!gate_->HasHeardAll() && patience_left_ > absl::ZeroDuration()) {
    patience_left_ -= kLook;
    loops_[0]->After(kLook, [this] { CheckIdentity(); });
    return;
  }
  if (const absl::Status opened = gate_->Open(); !opened.ok()) {
    trace_.Note("coordinator refuses to start: ", std::string(opened.message()));
    has_refused_ = true;
    return process_->Die();
  }
  trace_.Note("coordinator serves");
  is_serving_ = true;
}

void CoordinatorProcess::TellShards(const std::function<void(Shard&)>& task) {
  for (std::uint32_t i = 0; i < shards_.size(); ++i) {
    loops_[i]->Post([shard = shards_[i].get(), task] { task(*shard); });
  }
}

std::size_t CoordinatorProcess::RunningTransactions() const {
  std::size_t running = 0;
  for (const auto& shard : shards_) running += shard->List({}, /*after=*/0, /*limit=*/1000).size();
  return running;
}

// ---- Calls ----------------------------------------------------------------------------------------------------------

std::uint32_t CoordinatorProcess::ShardOfNew(const std::string& request_id) {
  return request_id.empty() ? next_shard_++ % options_.shards : routing_.ShardOfRequest(request_id);
}

template <typename Request>
std::uint32_t CoordinatorProcess::ShardOfEither(const Request& request) {
  if (request.id_case() == Request::kTxnId) return routing_.ShardOf(*ParseTxnId(request.txn_id()));
  return routing_.ShardOfRequest(request.request_id());
}

template <typename Request, typename Response>
void CoordinatorProcess::Post(std::uint32_t shard, void (Shard::*call)(Request, Answer<Response>), Request request,
                              Reply<Response> reply) {
  if (!is_serving_ || !process_->is_alive()) return;
  // What a dead process still answers, nobody hears.
  Reply<Response> while_alive = [process = process_, reply = std::move(reply)](auto response) mutable {
    if (process->MayAct()) reply(std::move(response));
  };
  loops_[shard]->Post([s = shards_[shard].get(), call, request = std::move(request),
                       answer = Answer<Response>(std::move(while_alive))]() mutable {
    (s->*call)(std::move(request), std::move(answer));
  });
}

void CoordinatorProcess::Begin(v1::BeginRequest request, Reply<v1::BeginResponse> reply) {
  const std::uint32_t shard = ShardOfNew(request.request_id());
  Post(shard, &Shard::Begin, std::move(request), std::move(reply));
}

void CoordinatorProcess::Submit(v1::SubmitRequest request, Reply<v1::SubmitResponse> reply) {
  const std::uint32_t shard = ShardOfNew(request.request_id());
  Post(shard, &Shard::Submit, std::move(request), std::move(reply));
}

void CoordinatorProcess::Enlist(v1::EnlistRequest request, Reply<v1::EnlistResponse> reply) {
  const std::uint32_t shard = routing_.ShardOf(*ParseTxnId(request.txn_id()));
  Post(shard, &Shard::Enlist, std::move(request), std::move(reply));
}

void CoordinatorProcess::Execute(v1::ExecuteRequest request, Reply<v1::ExecuteResponse> reply) {
  const std::uint32_t shard = routing_.ShardOf(*ParseTxnId(request.txn_id()));
  Post(shard, &Shard::Execute, std::move(request), std::move(reply));
}

void CoordinatorProcess::Commit(v1::CommitRequest request, Reply<v1::CommitResponse> reply) {
  const std::uint32_t shard = routing_.ShardOf(*ParseTxnId(request.txn_id()));
  Post(shard, &Shard::Commit, std::move(request), std::move(reply));
}

void CoordinatorProcess::Abort(v1::AbortRequest request, Reply<v1::AbortResponse> reply) {
  const std::uint32_t shard = ShardOfEither(request);
  Post(shard, &Shard::Abort, std::move(request), std::move(reply));
}

void CoordinatorProcess::GetTransaction(v1::GetTransactionRequest request, Reply<v1::TransactionDescription> reply) {
  const std::uint32_t shard = ShardOfEither(request);
  Post(shard, &Shard::GetTransaction, std::move(request), std::move(reply));
}

}  // namespace assent::simulation
