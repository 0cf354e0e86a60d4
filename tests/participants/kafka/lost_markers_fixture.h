#pragma once

#include <string>
#include <vector>

#include "tests/participants/kafka/scripted_test.h"

namespace assent::kafka {

// Beside a scripted broker whose partitions may lack the marker of a transaction that has ended.
class LostMarkersTest : public ScriptedTest {
 protected:
  // A branch of both partitions of the topic, prepared.
  BranchId PreparedInBoth(Vote& vote) {
    v1::KafkaRecord first = ARecord("t", "a");
    first.set_partition(0);
    v1::KafkaRecord second = ARecord("t", "b");
    second.set_partition(1);
    const BranchId branch = participant_->Open();
    EXPECT_TRUE(participant_->Execute(branch, AnOperation({first, second})).ok);
    vote = participant_->Prepare(branch);
    EXPECT_EQ(vote.kind, Vote::Kind::kYes) << vote.error.message;
    return branch;
  }

  // The branch's transaction stays open in the second partition, and its coordinator says this of it.
  void Hang(const Vote& vote, const std::string& state, int epochs_later = 1) {
    const auto epoch = static_cast<std::int16_t>(TokenOf(vote.token).epoch());
    broker_->open_transactions[{"t", 1}] = {.epoch = epoch, .from_offset = 5};
    broker_->described_state = state;
    broker_->described_epoch = static_cast<std::int16_t>(epoch + epochs_later);
  }
  void MarkerArrives() { broker_->open_transactions.clear(); }
  // The leader writes what a transaction of V1 that ends brings it.
  void WriteWhatIsEnded() {
    broker_->Always(wire::ApiKey::kEndTxn, [this](const auto& request) {
      if (request.version < 5) MarkerArrives();
      return broker_->Succeed(request);
    });
  }

  Finish CommitAtLast(const BranchId& branch, const std::string& token) {
    return FinishAtLast(branch, token, /*commit=*/true);
  }
  Finish FinishAtLast(const BranchId& branch, const std::string& token, bool commit) {
    Finish finish;
    EXPECT_TRUE(participant_->RunUntil([&] {
      finish = commit ? participant_->Commit(branch, token) : participant_->Abort(branch, token);
      return finish.kind != Finish::Kind::kRetry;
    }));
    return finish;
  }

  std::vector<SeenAddPartitions> Added() const {
    std::vector<SeenAddPartitions> seen;
    for (const auto& request : broker_->Requests(wire::ApiKey::kAddPartitionsToTxn)) {
      seen.push_back(ReadAddPartitions(request));
    }
    return seen;
  }
  // Of transactions V1.
  std::vector<SeenEndTxn> EndedAgain() const {
    std::vector<SeenEndTxn> again = EndTxns();
    std::erase_if(again, [](const SeenEndTxn& end) { return end.version >= 5; });
    return again;
  }
  std::string Health() { return (*participant_)->health().message; }
};

}  // namespace assent::kafka
