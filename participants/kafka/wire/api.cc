#include "participants/kafka/wire/api.h"

namespace assent::kafka::wire {

std::string_view Name(ApiKey key) {
  switch (key) {
    case ApiKey::kProduce:
      return "Produce";
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
    case ApiKey::kDescribeTransactions:
      return "DescribeTransactions";
    case ApiKey::kListTransactions:
      return "ListTransactions";
  }
  return "?";
}

}  // namespace assent::kafka::wire
