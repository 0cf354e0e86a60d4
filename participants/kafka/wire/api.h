#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "participants/kafka/wire/decoder.h"
#include "participants/kafka/wire/encoder.h"

namespace assent::kafka::wire {

// The calls that this client makes. Source: the protocol guide of Apache Kafka, "The Messages".
enum class ApiKey : std::int16_t {
  kProduce = 0,
  kListOffsets = 2,
  kMetadata = 3,
  kFindCoordinator = 10,
  kSaslHandshake = 17,
  kApiVersions = 18,
  kInitProducerId = 22,
  kAddPartitionsToTxn = 24,
  kEndTxn = 26,
  kDescribeConfigs = 32,
  kSaslAuthenticate = 36,
  kDescribeProducers = 61,
  kDescribeTransactions = 65,
  kListTransactions = 66,
};

std::string_view Name(ApiKey key);  // "InitProducerId"

// Headers have tagged fields, but those of SaslHandshake, which has no version with any, and of the answer to
// ApiVersions, which is what tells whether the broker knows any.
inline bool RequestHeaderHasTaggedFields(ApiKey key) { return key != ApiKey::kSaslHandshake; }
inline bool ResponseHeaderHasTaggedFields(ApiKey key) {
  return key != ApiKey::kApiVersions && key != ApiKey::kSaslHandshake;
}

// The version that a request is sent in: of its kind, or, where this client uses several, its own.
template <typename Request>
std::int16_t VersionOf(const Request& request) {
  if constexpr (requires { request.version; }) {
    return request.version;
  } else {
    return Request::kVersion;
  }
}

// A whole frame: length, request header, body.
template <typename Request>
std::string EncodeFrame(const Request& request, std::int32_t correlation_id, std::string_view client_id) {
  Encoder out;
  out.Reserve(64 + client_id.size() + request.SizeHint());
  out.Int32(0);
  out.Int16(static_cast<std::int16_t>(Request::kKey));
  out.Int16(VersionOf(request));
  out.Int32(correlation_id);
  // The one string of a flexible version that is not compact.
  out.Int16(static_cast<std::int16_t>(client_id.size()));
  out.Raw(client_id);
  if (RequestHeaderHasTaggedFields(Request::kKey)) out.NoTaggedFields();
  request.Encode(out);
  out.OverwriteInt32(0, static_cast<std::uint32_t>(out.size() - 4));
  return std::move(out).Take();
}

// OK where a decoder has read all of an answer's bytes, and else what is wrong with them.
absl::Status CheckAllWasRead(const Decoder& in, ApiKey key, std::int16_t version, std::size_t bytes);

// The answer to a request that went out in this version, from what follows its correlation id. DATA_LOSS for bytes that
// are not one such answer, whole and nothing more.
template <typename Request>
absl::StatusOr<typename Request::Response> DecodeAnswer(std::string_view bytes, std::int16_t version) {
  Decoder in(bytes);
  if (ResponseHeaderHasTaggedFields(Request::kKey)) in.SkipTaggedFields();
  typename Request::Response response;
  if constexpr (requires { Request::Response::Decode(in, version); }) {
    response = Request::Response::Decode(in, version);
  } else {
    response = Request::Response::Decode(in);
  }
  if (absl::Status read = CheckAllWasRead(in, Request::kKey, version, bytes.size()); !read.ok()) return read;
  return response;
}

}  // namespace assent::kafka::wire
