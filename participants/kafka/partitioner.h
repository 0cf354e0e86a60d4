#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace assent::kafka {

// The hash of keys: MurmurHash2, 32 bits, with the seed that Kafka's Java client uses.
std::uint32_t Murmur2(std::string_view bytes);

// Who decides where a key's records go: producers of one topic must agree.
enum class Partitioner : std::uint8_t {
  kMurmur2,  // as the Java client, and every client that follows it
  kCrc32,    // as librdkafka, and what is built on it, unless told otherwise
};

// By its name in the configuration: murmur2 or crc32. Nothing for another.
std::optional<Partitioner> ParsePartitioner(std::string_view name);

std::int32_t PartitionOfKey(Partitioner partitioner, std::string_view key, std::int32_t partitions);

}  // namespace assent::kafka
