#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/participants/kafka/participant_under_test.h"
#include "tests/participants/kafka/scripted_broker.h"

namespace assent::kafka {

// A participant beside a broker that does as the test says. All times are short.
class ScriptedTest : public testing::Test {
 protected:
  ScriptedTest() {
    options_.name = "events";
    options_.connections_per_broker = 1;
    options_.request_timeout = absl::Milliseconds(300);
    options_.connect_timeout = absl::Milliseconds(500);
    options_.finish_timeout = absl::Milliseconds(400);
    options_.first_backoff = absl::Milliseconds(1);
    options_.first_reconnect = absl::Milliseconds(5);
    options_.last_reconnect = absl::Milliseconds(20);
    options_.transactional_id_rest = absl::ZeroDuration();
  }

  // Makes participant and broker, and waits until the one has found the other and has ids to give.
  void Begin(ParticipantUnderTest::Place place = {}, std::vector<std::string> unfinished = {}) {
    Make(std::move(place));
    participant_->Start(std::move(unfinished));
    ASSERT_TRUE(participant_->RunUntil([&] { return participant_->times_available() > 0; }));
    Settle();
  }

  void Make(ParticipantUnderTest::Place place = {}) {
    broker_ = std::make_unique<ScriptedBroker>(loop_);
    options_.bootstrap_servers = {broker_->address()};
    participant_ = std::make_unique<ParticipantUnderTest>(options_, std::move(place), loop_);
  }

  // Runs until the first ids are fenced.
  void Settle() {
    ASSERT_TRUE(participant_->RunUntil([&] {
      const std::string health = (*participant_)->health().message;
      return broker_->Count(wire::ApiKey::kListTransactions) > 0 && health.find(" 0 of ") == std::string::npos &&
             broker_->Count(wire::ApiKey::kInitProducerId) >= 8;
    }));
    RunFor(std::chrono::milliseconds(20));
  }

  void RunFor(std::chrono::milliseconds time) {
    participant_->RunUntil([] { return false; }, time);
  }

  // A branch with one record, prepared.
  BranchId Prepared(Vote& vote) {
    const BranchId branch = participant_->Open();
    EXPECT_TRUE(participant_->Execute(branch, AnOperation({ARecord("t", "v")})).ok);
    vote = participant_->Prepare(branch);
    EXPECT_EQ(vote.kind, Vote::Kind::kYes) << vote.error.message;
    return branch;
  }

  std::vector<SeenProduce> Produces() const {
    std::vector<SeenProduce> seen;
    for (const auto& request : broker_->Requests(wire::ApiKey::kProduce)) seen.push_back(ReadProduce(request));
    return seen;
  }
  std::vector<SeenEndTxn> EndTxns() const {
    std::vector<SeenEndTxn> seen;
    for (const auto& request : broker_->Requests(wire::ApiKey::kEndTxn)) seen.push_back(ReadEndTxn(request));
    return seen;
  }
  int Inits(const std::string& transactional_id) const {
    int count = 0;
    for (const auto& request : broker_->Requests(wire::ApiKey::kInitProducerId)) {
      count += ReadInitProducerId(request).transactional_id == transactional_id ? 1 : 0;
    }
    return count;
  }

  boost::asio::io_context loop_;
  KafkaOptions options_;
  std::unique_ptr<ScriptedBroker> broker_;
  std::unique_ptr<ParticipantUnderTest> participant_;
};

}  // namespace assent::kafka
