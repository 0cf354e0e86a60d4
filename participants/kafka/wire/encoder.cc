#include "participants/kafka/wire/encoder.h"

#include "base/check.h"

namespace assent::kafka::wire {
namespace {

std::uint64_t ZigZag(std::int64_t value) {
  return (static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63);
}

}  // namespace

void Encoder::BigEndian(std::uint64_t value, int bytes) {
  for (int shift = (bytes - 1) * 8; shift >= 0; shift -= 8) bytes_.push_back(static_cast<char>(value >> shift));
}

void Encoder::UnsignedVarint(std::uint64_t value) {
  while (value >= 0x80) {
    bytes_.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  bytes_.push_back(static_cast<char>(value));
}

void Encoder::Varint(std::int64_t value) { UnsignedVarint(ZigZag(value)); }

void Encoder::CompactString(std::string_view text) {
  UnsignedVarint(text.size() + 1);
  Raw(text);
}

void Encoder::CompactNullableString(const std::optional<std::string>& text) {
  if (text) return CompactString(*text);
  UnsignedVarint(0);
}

void Encoder::OverwriteInt32(std::size_t position, std::uint32_t value) {
  ASSENT_CHECK(position + 4 <= bytes_.size(), "only bytes that were written can be written over");
  for (int i = 0; i < 4; ++i) bytes_[position + i] = static_cast<char>(value >> (24 - 8 * i));
}

std::size_t VarintSize(std::int64_t value) {
  std::size_t size = 1;
  for (std::uint64_t rest = ZigZag(value); rest >= 0x80; rest >>= 7) ++size;
  return size;
}

}  // namespace assent::kafka::wire
