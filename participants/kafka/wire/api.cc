#include "participants/kafka/wire/api.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace assent::kafka::wire {

std::string_view Name(ApiKey key) {
  switch (key) {
    case ApiKey::kProduce:
      return "Produce";
    case ApiKey::kListOffsets:
      return "ListOffsets";
    case ApiKey::kMetadata:
      return "Metadata";
    case ApiKey::kFindCoordinator:
      return "FindCoordinator";
    case ApiKey::kSaslHandshake:
      return "SaslHandshake";
    case ApiKey::kSaslAuthenticate:
      return "SaslAuthenticate";
    case ApiKey::kApiVersions:
      return "ApiVersions";
    case ApiKey::kInitProducerId:
      return "InitProducerId";
    case ApiKey::kAddPartitionsToTxn:
      return "AddPartitionsToTxn";
    case ApiKey::kEndTxn:
      return "EndTxn";
    case ApiKey::kDescribeConfigs:
      return "DescribeConfigs";
    case ApiKey::kDescribeProducers:
      return "DescribeProducers";
    case ApiKey::kDescribeTransactions:
      return "DescribeTransactions";
    case ApiKey::kListTransactions:
      return "ListTransactions";
  }
  return "?";
}

absl::Status CheckAllWasRead(const Decoder& in, ApiKey key, std::int16_t version, std::size_t bytes) {
  if (in.ok() && in.remaining() == 0) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(
      "the broker's answer to ", std::string(Name(key)), " (version ", version, ", ", bytes, " bytes) makes no sense: ",
      in.ok() ? absl::StrCat("it ends ", in.remaining(), " bytes before they do") : "a field does not fit into it"));
}

}  // namespace assent::kafka::wire
