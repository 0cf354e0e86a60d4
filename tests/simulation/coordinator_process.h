#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "coordinator/engine/engine.h"
#include "coordinator/engine/routing.h"
#include "coordinator/engine/shard.h"
#include "coordinator/engine/take_over_gate.h"
#include "tests/simulation/process.h"
#include "tests/simulation/simulated_log.h"

namespace assent::simulation {

// One run of the coordinator, from its start to its death: the real shards on one thread, each with a loop in virtual
// time, and what ShardedEngine and assentd do around them.
class CoordinatorProcess {
 public:
  using MakeParticipants =
      std::function<std::vector<std::unique_ptr<Participant>>(ProcessPtr process, Loop& loop, std::uint32_t shard)>;

  CoordinatorProcess(const EngineOptions& options, EventQueue& queue, Random& random, Trace& trace, ProcessPtr process,
                     std::unique_ptr<SimulatedLog> log, const MakeParticipants& make_participants);

  bool is_alive() const { return process_->is_alive(); }
  void Die() { process_->Die(); }
  // Calls are taken: the participants have been asked whether their work is ours.
  bool is_serving() const { return is_serving_; }
  bool has_refused() const { return has_refused_; }  // to start
  std::size_t unfinished() const { return log_->start().unfinished.size(); }
  std::size_t RunningTransactions() const;

  // The calls of the API. Given to the shard that owns the transaction, or dropped while nobody serves.
  void Begin(v1::BeginRequest request, Reply<v1::BeginResponse> reply);
  void Submit(v1::SubmitRequest request, Reply<v1::SubmitResponse> reply);
  void Enlist(v1::EnlistRequest request, Reply<v1::EnlistResponse> reply);
  void Execute(v1::ExecuteRequest request, Reply<v1::ExecuteResponse> reply);
  void Commit(v1::CommitRequest request, Reply<v1::CommitResponse> reply);
  void Abort(v1::AbortRequest request, Reply<v1::AbortResponse> reply);
  void GetTransaction(v1::GetTransactionRequest request, Reply<v1::TransactionDescription> reply);

 private:
  void CheckIdentity();
  void TellShards(const std::function<void(Shard&)>& task);
  std::uint32_t ShardOfNew(const std::string& request_id);
  template <typename Request>
  std::uint32_t ShardOfEither(const Request& request);
  template <typename Request, typename Response>
  void Post(std::uint32_t shard, void (Shard::*call)(Request, Answer<Response>), Request request,
            Reply<Response> reply);

  const EngineOptions options_;
  Trace& trace_;
  const ProcessPtr process_;
  const std::unique_ptr<SimulatedLog> log_;
  const Routing routing_;
  std::vector<std::unique_ptr<Loop>> loops_;
  std::vector<std::unique_ptr<Shard>> shards_;
  std::unique_ptr<TakeOverGate> gate_;
  absl::Duration patience_left_;
  bool is_serving_ = false;
  bool has_refused_ = false;
  std::uint32_t next_shard_ = 0;
};

}  // namespace assent::simulation
