#include "participants/kafka/partitioner.h"

#include <zlib.h>

#include <cstddef>

namespace assent::kafka {
namespace {

std::uint32_t Byte(std::string_view bytes, std::size_t i) { return static_cast<unsigned char>(bytes[i]); }

}  // namespace

std::uint32_t Murmur2(std::string_view bytes) {
  constexpr std::uint32_t kSeed = 0x9747b28c;
  constexpr std::uint32_t kMultiplier = 0x5bd1e995;
  std::uint32_t hash = kSeed ^ static_cast<std::uint32_t>(bytes.size());
  std::size_t i = 0;
  for (; i + 4 <= bytes.size(); i += 4) {
    std::uint32_t word = Byte(bytes, i) | Byte(bytes, i + 1) << 8 | Byte(bytes, i + 2) << 16 | Byte(bytes, i + 3) << 24;
    word *= kMultiplier;
    word ^= word >> 24;
    word *= kMultiplier;
    hash = (hash * kMultiplier) ^ word;
  }
  if (i < bytes.size()) {
    for (std::size_t tail = 0; i + tail < bytes.size(); ++tail) hash ^= Byte(bytes, i + tail) << (8 * tail);
    hash *= kMultiplier;
  }
  hash ^= hash >> 13;
  hash *= kMultiplier;
  hash ^= hash >> 15;
  return hash;
}

std::optional<Partitioner> ParsePartitioner(std::string_view name) {
  if (name == "murmur2") return Partitioner::kMurmur2;
  if (name == "crc32") return Partitioner::kCrc32;
  return std::nullopt;
}

std::int32_t PartitionOfKey(Partitioner partitioner, std::string_view key, std::int32_t partitions) {
  const auto count = static_cast<std::uint32_t>(partitions);
  switch (partitioner) {
    case Partitioner::kMurmur2:
      return static_cast<std::int32_t>((Murmur2(key) & 0x7fffffff) % count);
    case Partitioner::kCrc32: {
      const uLong crc = crc32(0, reinterpret_cast<const Bytef*>(key.data()), static_cast<uInt>(key.size()));
      return static_cast<std::int32_t>(static_cast<std::uint32_t>(crc) % count);
    }
  }
  return 0;
}

}  // namespace assent::kafka
