#pragma once

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "participants/participant.h"
#include "participants/participant_context.h"

namespace assent {

// What the contract suite has to know of one adapter, and of the real server behind it. One lives for one test.
class ParticipantHarness {
 public:
  virtual ~ParticipantHarness() = default;

  // An instance in the given place; not started.
  virtual std::unique_ptr<Participant> Make(const ParticipantContext& context) = 0;

  virtual v1::BranchOptions GoodOptions() = 0;
  virtual v1::BranchOptions OptionsOfAnotherKind() = 0;
  // Writes `value`, so that IsVisible(value) tells whether it was committed.
  virtual v1::Operation GoodOperation(const std::string& value) = 0;
  // Is refused, at the latest by the vote.
  virtual v1::Operation BadOperation() = 0;
  virtual v1::Operation OperationOfAnotherKind() = 0;

  // Asks the server without the adapter, as any other reader would: is the value committed?
  virtual bool IsVisible(const std::string& value) = 0;
  // How many branches of this coordinator does the server hold prepared?
  virtual int CountPrepared(const CoordinatorId& coordinator) = 0;

  // Whether the server is this harness's own, and may be stopped.
  virtual bool OwnsServer() const { return false; }
  virtual void StopServer() {}
  virtual void StartServer() {}
};

// Makes a harness, or says why there is none (the server was not started): the test is skipped with that.
using HarnessFactory = std::function<std::unique_ptr<ParticipantHarness>(std::string& why_not)>;

struct ContractParameters {
  HarnessFactory shared;  // on the server that all tests share
  HarnessFactory owned;   // on one of the test's own
};

// One adapter's instances on one loop, driven by the test: calls that block until the completion has run.
class ContractDriver {
 public:
  static constexpr absl::Duration kPatience = absl::Seconds(30);

  explicit ContractDriver(CoordinatorId coordinator) : coordinator_(std::move(coordinator)) {}
  ~ContractDriver() { instances_.clear(); }

  // Makes an instance as a process of this epoch would, and waits until it can reach its server.
  Participant& Start(ParticipantHarness& harness, std::uint32_t epoch, std::vector<std::string> unfinished_tokens = {},
                     bool await_available = true);

  // Ends the last instance, as a crash would.
  void Crash() { instances_.pop_back(); }

  int available_count() const { return available_count_; }

  BranchId NewBranch(std::uint32_t epoch = 1);

  ExecuteOutcome Execute(Participant& participant, const BranchId& branch, v1::Operation operation);
  Vote Prepare(Participant& participant, const BranchId& branch);
  Finish Commit(Participant& participant, const BranchId& branch, const std::string& token);
  Finish Abort(Participant& participant, const BranchId& branch, const std::string& token);
  // Repeats while the answer is kRetry, as the engine does.
  Finish CommitUntilEnded(Participant& participant, const BranchId& branch, const std::string& token);
  Finish AbortUntilEnded(Participant& participant, const BranchId& branch, const std::string& token);
  absl::StatusOr<OwnWork> ListOwn(Participant& participant);

  // Runs the loop until the condition holds; false after kPatience.
  bool RunUntil(const std::function<bool()>& condition, absl::Duration patience = kPatience);
  // Runs the loop until its current work has gone around once.
  void RunABit() { RunFor(absl::Milliseconds(1)); }
  void RunFor(absl::Duration duration);

  boost::asio::io_context& loop() { return loop_; }

 private:
  template <typename T, typename Call>
  T Await(const char* what, Call call);

  const CoordinatorId coordinator_;
  boost::asio::io_context loop_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{loop_.get_executor()};
  std::vector<std::unique_ptr<Participant>> instances_;
  int available_count_ = 0;
  std::uint64_t last_sequence_ = 0;
};

// The suite: what every adapter owes the engine (participants/participant.h), on a real server.
class ParticipantContract : public ::testing::TestWithParam<ContractParameters> {
 protected:
  void SetUp() override { UseServer(GetParam().shared); }

  // Skips the test where the harness cannot be had.
  void UseServer(const HarnessFactory& factory);

  std::string NewValue();

  const CoordinatorId coordinator_ = RandomCoordinator();
  std::unique_ptr<ParticipantHarness> harness_;
  ContractDriver driver_{coordinator_};

 private:
  static CoordinatorId RandomCoordinator();

  int values_ = 0;
};

// The part of the suite that stops its server and starts it again.
class ParticipantOutageContract : public ParticipantContract {
 protected:
  void SetUp() override { UseServer(GetParam().owned); }
};

inline constexpr absl::Duration kLongDeadline = absl::Minutes(5);

}  // namespace assent
