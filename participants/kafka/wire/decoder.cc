#include "participants/kafka/wire/decoder.h"

namespace assent::kafka::wire {

void Decoder::Fail() {
  ok_ = false;
  rest_ = {};
}

std::string_view Decoder::Raw(std::size_t bytes) {
  if (bytes > rest_.size()) {
    Fail();
    return {};
  }
  const std::string_view taken = rest_.substr(0, bytes);
  rest_.remove_prefix(bytes);
  return taken;
}

std::uint64_t Decoder::BigEndian(std::size_t bytes) {
  std::uint64_t value = 0;
  for (const char byte : Raw(bytes)) value = (value << 8) | static_cast<unsigned char>(byte);
  return value;
}

std::uint64_t Decoder::UnsignedVarint() {
  std::uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    const std::string_view next = Raw(1);
    if (next.empty()) return 0;
    const std::uint64_t byte = static_cast<unsigned char>(next[0]);
    if (shift == 63 && byte > 1) break;
    value |= (byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
  Fail();
  return 0;
}

std::int64_t Decoder::Varint() {
  const std::uint64_t value = UnsignedVarint();
  return static_cast<std::int64_t>(value >> 1) ^ -static_cast<std::int64_t>(value & 1);
}

std::optional<std::string> Decoder::CompactNullableString() {
  const std::uint64_t length = UnsignedVarint();
  if (length == 0) return std::nullopt;
  return std::string(Raw(length - 1));
}

std::string Decoder::CompactString() {
  std::optional<std::string> text = CompactNullableString();
  if (!text) {
    Fail();
    return {};
  }
  return *std::move(text);
}

std::size_t Decoder::CompactArrayLength(std::size_t least_bytes) {
  const std::uint64_t length = UnsignedVarint();
  if (length == 0) return 0;
  if (length - 1 > rest_.size() / least_bytes) {
    Fail();
    return 0;
  }
  return length - 1;
}

void Decoder::SkipCompactInt32Array() { Raw(4 * CompactArrayLength(4)); }

void Decoder::TaggedFields(absl::FunctionRef<void(std::uint64_t tag, Decoder& field)> read) {
  const std::uint64_t count = UnsignedVarint();
  if (count > rest_.size() / 2) return Fail();
  for (std::uint64_t i = 0; i < count && ok_; ++i) {
    const std::uint64_t tag = UnsignedVarint();
    Decoder field(Raw(UnsignedVarint()));
    if (!ok_) return;
    read(tag, field);
    if (!field.ok()) Fail();
  }
}

void Decoder::SkipTaggedFields() {
  TaggedFields([](std::uint64_t, Decoder&) {});
}

}  // namespace assent::kafka::wire
