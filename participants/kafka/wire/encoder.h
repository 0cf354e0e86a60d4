#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace assent::kafka::wire {

// Appends values in Kafka's wire form: big-endian integers, and the compact forms of the "flexible" versions.
// Source: the protocol guide of Apache Kafka, "Protocol Primitive Types".
class Encoder {
 public:
  void Int8(std::int8_t value) { bytes_.push_back(static_cast<char>(value)); }
  void Int16(std::int16_t value) { BigEndian(static_cast<std::uint16_t>(value), 2); }
  void Int32(std::int32_t value) { BigEndian(static_cast<std::uint32_t>(value), 4); }
  void Int64(std::int64_t value) { BigEndian(static_cast<std::uint64_t>(value), 8); }
  void Bool(bool value) { Int8(value ? 1 : 0); }

  void UnsignedVarint(std::uint64_t value);
  void Varint(std::int64_t value);  // zigzag: of the fields of a record; int32 and int64 look the same

  void Raw(std::string_view bytes) { bytes_.append(bytes); }
  void CompactString(std::string_view text);
  void CompactNullableString(const std::optional<std::string>& text);
  void CompactArrayLength(std::size_t count) { UnsignedVarint(count + 1); }
  void NullCompactArray() { UnsignedVarint(0); }
  void NoTaggedFields() { UnsignedVarint(0); }

  void Reserve(std::size_t bytes) { bytes_.reserve(bytes); }
  std::size_t size() const { return bytes_.size(); }
  const std::string& bytes() const { return bytes_; }
  std::string Take() && { return std::move(bytes_); }

  // Writes over four bytes that were written before, for lengths and checksums.
  void OverwriteInt32(std::size_t position, std::uint32_t value);

 private:
  void BigEndian(std::uint64_t value, int bytes);

  std::string bytes_;
};

// The bytes that Varint(value) takes.
std::size_t VarintSize(std::int64_t value);

}  // namespace assent::kafka::wire
