#pragma once

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "assent/v1/token.pb.h"
#include "participants/kafka/kafka_participant.h"

namespace assent::kafka {

// A record to write, in short.
inline v1::KafkaRecord ARecord(const std::string& topic, const std::string& value) {
  v1::KafkaRecord record;
  record.set_topic(topic);
  record.set_value(value);
  return record;
}

inline v1::Operation AnOperation(const std::vector<v1::KafkaRecord>& records) {
  v1::Operation operation;
  for (const v1::KafkaRecord& record : records) *operation.mutable_kafka()->add_records() = record;
  return operation;
}

inline CoordinatorId ACoordinator(std::string name = "unit") {
  std::random_device random;
  return {.name = std::move(name), .incarnation = (std::uint64_t{random()} << 32) | random()};
}

// One instance of the adapter with a loop of its own, whose calls wait for their answers.
class ParticipantUnderTest {
 public:
  struct Place {
    CoordinatorId coordinator = ACoordinator();
    std::uint32_t epoch = 1;
    std::uint32_t shard = 0;
    std::uint32_t shard_count = 1;
  };

  ParticipantUnderTest(KafkaOptions options, Place place)
      : own_loop_(std::make_unique<boost::asio::io_context>()), loop_(*own_loop_), place_(std::move(place)) {
    Make(options);
  }

  // On a loop that it shares with others.
  ParticipantUnderTest(KafkaOptions options, Place place, boost::asio::io_context& loop)
      : loop_(loop), place_(std::move(place)) {
    Make(options);
  }

 private:
  void Make(const KafkaOptions& options) {
    const ParticipantContext context{.loop = loop_,
                                     .clock = SystemClock(),
                                     .coordinator = place_.coordinator,
                                     .epoch = place_.epoch,
                                     .shard = place_.shard,
                                     .shard_count = place_.shard_count};
    auto made = MakeKafkaParticipant(options, context);
    participant_ = *std::move(made);
  }

 public:
  void Start(std::vector<std::string> unfinished = {}) {
    participant_->Start(std::move(unfinished), [this] { ++times_available_; });
    participant_->TakeOver();
  }

  // Runs the loop until the condition holds: false if it does not in time.
  template <typename Condition>
  bool RunUntil(Condition condition, std::chrono::milliseconds patience = std::chrono::seconds(20)) {
    const auto end = std::chrono::steady_clock::now() + patience;
    while (!condition()) {
      loop_.restart();
      if (std::chrono::steady_clock::now() >= end) return false;
      loop_.run_one_for(std::chrono::milliseconds(20));
    }
    return true;
  }

  BranchId NewBranch() {
    return {.txn = {.coordinator = place_.coordinator, .epoch = place_.epoch, .sequence = ++sequence_}, .name = "b"};
  }

  BranchId Open(absl::Duration timeout = absl::Seconds(15)) {
    const BranchId branch = NewBranch();
    (void)participant_->Open(branch, {}, SystemClock().Now() + timeout);
    return branch;
  }

  ExecuteOutcome Execute(const BranchId& branch, v1::Operation operation) {
    return Await<ExecuteOutcome>(
        [&](auto done) { participant_->Execute(branch, std::move(operation), std::move(done)); });
  }
  Vote Prepare(const BranchId& branch) {
    return Await<Vote>([&](auto done) { participant_->Prepare(branch, std::move(done)); });
  }
  Finish Commit(const BranchId& branch, const std::string& token) {
    return Await<Finish>([&](auto done) { participant_->Commit(branch, token, std::move(done)); });
  }
  Finish Abort(const BranchId& branch, const std::string& token) {
    return Await<Finish>([&](auto done) { participant_->Abort(branch, token, std::move(done)); });
  }
  absl::StatusOr<OwnWork> ListOwn() {
    return *Await<std::optional<absl::StatusOr<OwnWork>>>([&](auto done) {
      participant_->ListOwn([done = std::move(done)](absl::StatusOr<OwnWork> work) mutable { done(std::move(work)); });
    });
  }
  Hidden MeasureHidden() {
    return Await<Hidden>([&](auto done) { participant_->MeasureHidden(std::move(done)); });
  }

  Participant& operator*() { return *participant_; }
  Participant* operator->() { return participant_.get(); }
  boost::asio::io_context& loop() { return loop_; }
  const Place& place() const { return place_; }
  int times_available() const { return times_available_; }
  void Destroy() { participant_.reset(); }

 private:
  template <typename Result, typename Call>
  Result Await(Call call) {
    auto result = std::make_shared<std::optional<Result>>();
    call([result](Result value) { result->emplace(std::move(value)); });
    if (!RunUntil([&] { return result->has_value(); }, std::chrono::seconds(40))) {
      std::fprintf(stderr, "an answer of the participant never came\n");
      std::abort();
    }
    return std::move(**result);
  }

  std::unique_ptr<boost::asio::io_context> own_loop_;
  boost::asio::io_context& loop_;
  const Place place_;
  std::uint64_t sequence_ = 0;
  int times_available_ = 0;
  std::unique_ptr<Participant> participant_;
};

// A process of a coordinator, just started and connected; the next one in the same place has the next epoch.
inline std::unique_ptr<ParticipantUnderTest> StartProcess(const KafkaOptions& options,
                                                          ParticipantUnderTest::Place& place,
                                                          std::vector<std::string> unfinished = {}) {
  auto process = std::make_unique<ParticipantUnderTest>(options, place);
  ++place.epoch;
  process->Start(std::move(unfinished));
  EXPECT_TRUE(process->RunUntil([&] { return process->times_available() > 0; }));
  return process;
}

inline v1::KafkaToken TokenOf(const std::string& bytes) {
  v1::KafkaToken token;
  token.ParseFromString(bytes);
  return token;
}

}  // namespace assent::kafka
