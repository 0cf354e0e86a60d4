#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "assent/v1/token.pb.h"
#include "base/ids.h"
#include "participants/kafka/production.h"
#include "participants/kafka/record_buffer.h"
#include "participants/kafka/transactional_id_pool.h"
#include "participants/participant.h"

namespace assent::kafka {

// Where a branch stands at Kafka.
//
//   kOpen --Prepare--> kPreparing --every record acknowledged--> kPrepared --Commit, Abort--> kEnded
//     |                    |  |                                                                 ^
//     |                    |  +--no answer by the deadline, or aborted meanwhile--> kInDoubt --+  (Abort)
//     |                    +--nothing to commit, or refused-------------------------------------+
//     +--Abort----------------------------------------------------------------------------------+
enum class BranchPhase : std::uint8_t { kOpen, kPreparing, kPrepared, kInDoubt, kEnded };

// One branch, from Open() to Forget(). Owned by the participant, and kept by requests under way.
struct Branch {
  Branch(BranchId branch_id, absl::Time ends_at, RecordBuffer buffer)
      : id(std::move(branch_id)), deadline(ends_at), records(std::move(buffer)) {}

  struct Operation {
    v1::KafkaOperation operation;
    Participant::ExecuteDone done;
  };

  const BranchId id;
  const absl::Time deadline;
  BranchPhase phase = BranchPhase::kOpen;

  std::deque<Operation> operations;   // not completed; the first waits for its topics
  RecordBuffer records;               // empty from the beginning of the production on
  std::size_t buffered_bytes = 0;     // of the records, and when they are produced, of those that the vote carries
  std::optional<BranchError> doomed;  // an operation failed: the branch cannot commit without it

  std::vector<Participant::PrepareDone> waiting_for_vote;
  std::optional<Vote> vote;
  std::optional<ProducerSession> session;  // of its transactional id, which it holds until Forget()
  std::weak_ptr<Production> production;    // while preparing
  v1::KafkaToken token;                    // from the production on; its records only until the vote
  std::optional<ProducerSession> next;     // for the id's next transaction
  bool is_aborting = false;                // Abort() came while preparing
  bool committed = false;                  // where ended
};

}  // namespace assent::kafka
