#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/simulation/coordinator_machine.h"
#include "tests/simulation/judge.h"
#include "tests/simulation/network.h"
#include "tests/simulation/random.h"
#include "tests/simulation/remote_calls.h"
#include "tests/simulation/trace.h"

namespace assent::simulation {

// What a client may use.
struct Store {
  std::string name;
  bool is_broker = false;
};

// A service that uses the coordinator: one transaction after the other, in one call or step by step. Where an answer is
// missing it repeats the call, asks, or bars the request, until it knows; some it leaves half done. What it is told
// never changes.
class Client {
 public:
  struct World {
    EventQueue& queue;
    Random& random;
    Trace& trace;
    Network& network;
    Judge& judge;
    CoordinatorMachine& coordinator;
  };

  Client(World world, std::string name, std::vector<Store> stores, std::uint64_t jobs);

  // Begins, after a while.
  void Start(absl::Duration latest);
  bool is_done() const { return is_done_; }
  // What came of the last transaction whose outcome it learnt.
  v1::Outcome last_outcome() const { return settled_; }
  // Every job is one Submit of everything, repeated until its outcome is known.
  void OnlySubmits() { only_submits_ = true; }

 private:
  struct Branch {
    Store store;
    std::string key;  // of its operations, for the judge
    std::uint64_t operations = 0;
  };

  void NextJob();
  void MakeJob();
  void After(absl::Duration longest, void (Client::*next)());
  v1::Operation OperationOf(const Branch& branch, std::uint64_t number) const;
  v1::BranchOptions OptionsOf(const Branch& branch) const;

  template <typename Request, typename Response>
  void Call(void (CoordinatorProcess::*call)(Request, Reply<Response>), const Request& request,
            void (Client::*then)(const absl::StatusOr<Response>&), bool is_repeatable = true);

  // In one call.
  void Submit();
  void Submitted(const absl::StatusOr<v1::SubmitResponse>& response);
  // Step by step.
  void Begin();
  void Begun(const absl::StatusOr<v1::BeginResponse>& response);
  void NextStep();
  void Enlist();
  void Enlisted(const absl::StatusOr<v1::EnlistResponse>& response);
  v1::ExecuteRequest RequestOf(std::uint64_t operation) const;
  void Execute();
  void Executed(const absl::StatusOr<v1::ExecuteResponse>& response);
  void StepFailed(const absl::Status& status, void (Client::*again)());
  void Commit();
  void Committed(const absl::StatusOr<v1::CommitResponse>& response);
  // Calls whose answers nobody waits for.
  void Meddle();
  template <typename Response>
  void Ignore(const absl::StatusOr<Response>&) {}
  // The way out.
  void Abort();
  void Aborted(const absl::StatusOr<v1::AbortResponse>& response);
  void Ask();
  void Told(const absl::StatusOr<v1::TransactionDescription>& response);
  void FindOut();
  void Settle(const Said& said);

  World world_;
  const std::string name_;
  const std::vector<Store> stores_;
  RemoteCalls calls_;
  std::uint64_t jobs_left_;
  bool is_done_ = false;
  bool only_submits_ = false;

  // The job.
  std::uint64_t job_ = 0;
  bool is_submit_ = false;
  bool unordered_ = false;
  std::string request_id_;
  std::string txn_id_;
  v1::Wait wait_ = v1::DATABASES;
  std::vector<Branch> branches_;
  std::size_t branch_ = 0;       // of the next step
  std::uint64_t operation_ = 0;  // of the next Execute, from 1; 0: Enlist
  v1::Outcome settled_ = v1::OUTCOME_UNSPECIFIED;
};

}  // namespace assent::simulation
