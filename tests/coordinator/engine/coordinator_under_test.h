#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/engine/shard.h"
#include "coordinator/engine/take_over_gate.h"
#include "tests/coordinator/engine/fake_log.h"
#include "tests/coordinator/engine/fake_participant.h"
#include "tests/coordinator/engine/fake_scheduler.h"

namespace assent {

inline const CoordinatorId kCoordinator{.name = "orders", .incarnation = 0x5f0cab12d3e4f567};

// One shard with a database "db" and a broker "events", both fakes, in virtual time. The stores may be shared with
// those of an earlier one, to play a restart.
struct CoordinatorUnderTest {
  explicit CoordinatorUnderTest(FakeStore& db_store, FakeStore& events_store, LogStart start = {kCoordinator, 1, 0, {}},
                                EngineOptions engine_options = {}, Shard::Place place = {0, 1})
      : options(engine_options), log(WithTakeOvers(std::move(start))), routing(log.start(), place.count) {
    auto db_made = std::make_unique<FakeParticipant>("db", ParticipantKind::kDatabase, db_store);
    auto events_made = std::make_unique<FakeParticipant>("events", ParticipantKind::kBroker, events_store);
    db = db_made.get();
    events = events_made.get();
    std::vector<std::unique_ptr<Participant>> participants;
    participants.push_back(std::move(db_made));
    participants.push_back(std::move(events_made));
    shard =
        std::make_unique<Shard>(options, place, routing, log, scheduler, scheduler, std::move(participants),
                                [this](const std::string& participant, const absl::StatusOr<Shard::FirstLook>& look) {
                                  heard[participant] = look;
                                  gate.Hear(participant, look);
                                });
  }

  // Earlier processes have worked with both participants, where the test says nothing else.
  static LogStart WithTakeOvers(LogStart start) {
    if (start.taken_over.empty()) start.taken_over = {{"db", start.epoch - 1}, {"events", start.epoch - 1}};
    return start;
  }

  void Start() {
    shard->Start();
    TakeOver();  // the fakes have answered at once
  }
  void TakeOver() { gate.Open().IgnoreError(); }

  // Names of what the participants hold that is not ours to judge.
  std::vector<std::string> Foreign() const {
    std::vector<std::string> foreign;
    for (const auto& [participant, answer] : heard) {
      if (answer.ok()) foreign.insert(foreign.end(), answer->foreign.begin(), answer->foreign.end());
    }
    return foreign;
  }

  // An answer, once it has come.
  template <typename Response>
  using Box = std::shared_ptr<std::optional<absl::StatusOr<Response>>>;

  template <typename Response, typename Request>
  Box<Response> Call(void (Shard::*call)(Request, Answer<Response>), Request request) {
    auto box = std::make_shared<std::optional<absl::StatusOr<Response>>>();
    (shard.get()->*call)(
        std::move(request),
        Answer<Response>(Reply<Response>([box](absl::StatusOr<Response> response) { *box = std::move(response); })));
    scheduler.RunReady();
    return box;
  }

  std::string BeginAndEnlistBoth(const std::string& request_id = "") {
    v1::BeginRequest begin;
    begin.set_request_id(request_id);
    const std::string txn = (*Call(&Shard::Begin, begin))->value().txn_id();
    for (const char* name : {"db", "events"}) {
      v1::EnlistRequest enlist;
      enlist.set_txn_id(txn);
      enlist.set_participant(name);
      enlist.set_branch(name);
      (*Call(&Shard::Enlist, enlist))->value();
    }
    return txn;
  }

  Box<v1::ExecuteResponse> Execute(const std::string& txn, const std::string& branch, int number,
                                   const std::string& sql = "SELECT 1") {
    v1::ExecuteRequest request;
    request.set_txn_id(txn);
    request.set_branch(branch);
    request.set_operation_number(number);
    request.mutable_operation()->mutable_sql()->add_statements()->set_sql(sql);
    return Call(&Shard::Execute, request);
  }

  Box<v1::CommitResponse> Commit(const std::string& txn, v1::Wait wait = v1::DATABASES) {
    v1::CommitRequest request;
    request.set_txn_id(txn);
    request.set_wait(wait);
    return Call(&Shard::Commit, request);
  }

  Box<v1::AbortResponse> Abort(const std::string& txn) {
    v1::AbortRequest request;
    request.set_txn_id(txn);
    return Call(&Shard::Abort, request);
  }

  static v1::SubmitRequest SubmitBoth(const std::string& request_id, const std::string& sql = "INSERT") {
    v1::SubmitRequest request;
    request.set_request_id(request_id);
    for (const char* name : {"db", "events"}) {
      v1::SubmitBranch& branch = *request.add_branches();
      branch.set_participant(name);
      branch.add_operations()->mutable_sql()->add_statements()->set_sql(sql);
    }
    return request;
  }

  v1::TransactionDescription Get(const std::string& txn) {
    v1::GetTransactionRequest request;
    request.set_txn_id(txn);
    return (*Call(&Shard::GetTransaction, request))->value();
  }

  EngineOptions options;
  FakeScheduler scheduler;
  FakeLog log;
  Routing routing;
  FakeParticipant* db;
  FakeParticipant* events;
  std::map<std::string, absl::StatusOr<Shard::FirstLook>> heard;
  TakeOverGate gate{log, {"db", "events"}, [this](const std::function<void(Shard&)>& task) { task(*shard); }};
  std::unique_ptr<Shard> shard;
};

// The details of a failed status.
inline v1::TransactionFailure FailureOf(const absl::Status& status) {
  v1::TransactionFailure failure;
  if (const auto payload = status.GetPayload(kFailureUrl)) failure.ParseFromString(std::string(*payload));
  return failure;
}

}  // namespace assent
