#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"

namespace assent::kafka::wire {

// Reads values in Kafka's wire form out of bytes that anybody may have sent.
//
// Every length and count is checked against what is left before it is used. The first value that does not fit makes the
// decoder fail for good: it then answers zeros and empties, so that callers read a whole message and ask ok() once.
// The bytes outlive the decoder and the views that it gives.
class Decoder {
 public:
  explicit Decoder(std::string_view bytes) : rest_(bytes) {}

  bool ok() const { return ok_; }
  std::size_t remaining() const { return rest_.size(); }

  std::int8_t Int8() { return static_cast<std::int8_t>(BigEndian(1)); }
  std::int16_t Int16() { return static_cast<std::int16_t>(BigEndian(2)); }
  std::int32_t Int32() { return static_cast<std::int32_t>(BigEndian(4)); }
  std::int64_t Int64() { return static_cast<std::int64_t>(BigEndian(8)); }
  bool Bool() { return Int8() != 0; }

  std::uint64_t UnsignedVarint();
  std::int64_t Varint();  // zigzag

  std::string_view Raw(std::size_t bytes);
  std::string CompactString();  // fails on null
  std::optional<std::string> CompactNullableString();

  // The number of elements that follow; null counts as none. Fails where `least_bytes` for each of them are not there,
  // so that a count never makes anybody reserve more than was sent.
  std::size_t CompactArrayLength(std::size_t least_bytes);

  // Skips int32 elements.
  void SkipCompactInt32Array();

  // Reads the tagged fields that end every structure; `read` gets those that it may know, with their own bytes.
  void TaggedFields(absl::FunctionRef<void(std::uint64_t tag, Decoder& field)> read);
  void SkipTaggedFields();

  void Fail();

 private:
  std::uint64_t BigEndian(std::size_t bytes);

  std::string_view rest_;
  bool ok_ = true;
};

}  // namespace assent::kafka::wire
