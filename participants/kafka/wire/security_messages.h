#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "participants/kafka/wire/api.h"
#include "participants/kafka/wire/decoder.h"
#include "participants/kafka/wire/encoder.h"

// The messages by which a client says who it is.
// Source of the fields: the message schemas of Apache Kafka (clients/…/common/message/Sasl*.json).
namespace assent::kafka::wire {

// ---- SaslHandshake: by which mechanism. The one call of this client that has no flexible version ----

struct SaslHandshakeResponse {
  std::int16_t error_code = 0;
  std::vector<std::string> mechanisms;  // that the broker offers

  static SaslHandshakeResponse Decode(Decoder& in);
};

struct SaslHandshakeRequest {
  static constexpr ApiKey kKey = ApiKey::kSaslHandshake;
  static constexpr std::int16_t kVersion = 1;
  using Response = SaslHandshakeResponse;

  std::string mechanism;

  std::size_t SizeHint() const { return 32; }
  void Encode(Encoder& out) const;
};

// ---- SaslAuthenticate: one message of the mechanism's each way ----

struct SaslAuthenticateResponse {
  std::int16_t error_code = 0;
  std::string error_message;
  std::string bytes;
  std::int64_t session_lifetime_ms = 0;  // after which the broker wants to be told again; 0: never

  static SaslAuthenticateResponse Decode(Decoder& in);
};

struct SaslAuthenticateRequest {
  static constexpr ApiKey kKey = ApiKey::kSaslAuthenticate;
  static constexpr std::int16_t kVersion = 2;
  using Response = SaslAuthenticateResponse;

  std::string bytes;

  std::size_t SizeHint() const { return 16 + bytes.size(); }
  void Encode(Encoder& out) const;
};

}  // namespace assent::kafka::wire
