#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/escaping.h"
#include "participants/kafka/wire/encoder.h"

namespace assent::kafka::wire {

// Bytes as golden tests write them.
inline std::string Hex(std::string_view bytes) { return absl::BytesToHexString({bytes.data(), bytes.size()}); }
inline std::string Bytes(std::string_view hex) { return absl::HexStringToBytes({hex.data(), hex.size()}); }

template <typename Message>
std::string Encoded(const Message& message) {
  Encoder out;
  message.Encode(out);
  return std::move(out).Take();
}

}  // namespace assent::kafka::wire
