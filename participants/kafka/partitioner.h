#pragma once

#include <cstdint>
#include <string_view>

namespace assent::kafka {

// The hash of keys: MurmurHash2, 32 bits, with the seed that Kafka's Java client uses.
std::uint32_t Murmur2(std::string_view bytes);

// The partition where the Java client, and every client that follows it, puts records with this key.
std::int32_t PartitionOfKey(std::string_view key, std::int32_t partitions);

}  // namespace assent::kafka
