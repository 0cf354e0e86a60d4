#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "assent/v1/token.pb.h"
#include "base/ids.h"
#include "participants/kafka/record_buffer.h"
#include "participants/kafka/transactional_id_pool.h"

namespace assent::kafka {

// What names a prepared transaction, without its records: who produces it, and where to.
v1::KafkaToken TokenFor(const std::string& transactional_id, const ProducerSession& session,
                        v1::KafkaTransactionVersion version, const std::vector<PartitionBatches>& records);

// Adds the records themselves, from which a repair produces them again.
void AddRecords(const std::vector<PartitionBatches>& records, v1::KafkaToken& token);

// Bytes that AddRecords() would add.
std::size_t BytesOf(const std::vector<PartitionBatches>& records);

struct ParsedToken {
  v1::KafkaToken token;
  std::uint32_t number = 0;  // of its transactional id
};

// A token as the log holds it. INVALID_ARGUMENT, with what is wrong, where it is none of this coordinator's or none
// that this version can finish.
absl::StatusOr<ParsedToken> ParseToken(const std::string& bytes, const CoordinatorId& coordinator);

// The same for people, without its records; whatever it is.
std::string TokenText(const std::string& bytes);

}  // namespace assent::kafka
