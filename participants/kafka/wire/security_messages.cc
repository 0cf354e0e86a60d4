#include "participants/kafka/wire/security_messages.h"

namespace assent::kafka::wire {

void SaslHandshakeRequest::Encode(Encoder& out) const {
  out.Int16(static_cast<std::int16_t>(mechanism.size()));
  out.Raw(mechanism);
}

SaslHandshakeResponse SaslHandshakeResponse::Decode(Decoder& in) {
  SaslHandshakeResponse response;
  response.error_code = in.Int16();
  for (std::int32_t n = in.Int32(); n > 0 && in.ok(); --n) {
    response.mechanisms.emplace_back(in.Raw(static_cast<std::size_t>(static_cast<std::uint16_t>(in.Int16()))));
  }
  return response;
}

void SaslAuthenticateRequest::Encode(Encoder& out) const {
  out.CompactString(bytes);
  out.NoTaggedFields();
}

SaslAuthenticateResponse SaslAuthenticateResponse::Decode(Decoder& in) {
  SaslAuthenticateResponse response;
  response.error_code = in.Int16();
  response.error_message = in.CompactNullableString().value_or("");
  response.bytes = in.CompactString();
  response.session_lifetime_ms = in.Int64();
  in.SkipTaggedFields();
  return response;
}

}  // namespace assent::kafka::wire
