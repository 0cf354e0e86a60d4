#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace assent::kafka::wire {

// How the records of a batch are compressed. The values stand in the batch's attributes.
enum class Compression : std::uint8_t { kNone = 0, kGzip = 1, kSnappy = 2, kLz4 = 3, kZstd = 4 };

// By the name that Kafka's clients use: none, gzip, snappy, lz4 or zstd. Nothing for another.
std::optional<Compression> ParseCompression(std::string_view name);

// The records as every consumer reads them: gzip, LZ4 and zstd as frames of their own formats, snappy in the blocks of
// snappy-java, which the Java client writes (librdkafka reads both).
std::string Compress(Compression compression, std::string_view records);

}  // namespace assent::kafka::wire
