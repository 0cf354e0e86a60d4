#pragma once

#include <cstdint>

#include "participants/kafka/wire/api.h"
#include "participants/kafka/wire/cluster_messages.h"
#include "participants/kafka/wire/offset_messages.h"
#include "participants/kafka/wire/produce_messages.h"
#include "participants/kafka/wire/producer_messages.h"
#include "participants/kafka/wire/security_messages.h"
#include "participants/kafka/wire/transaction_messages.h"

namespace assent::kafka {

// Calls `visit` with an empty request of this kind; false where this client makes none such.
template <typename Visit>
bool VisitRequest(wire::ApiKey key, Visit visit) {
  switch (key) {
    case wire::ApiKey::kProduce:
      return visit(wire::ProduceRequest()), true;
    case wire::ApiKey::kListOffsets:
      return visit(wire::ListOffsetsRequest()), true;
    case wire::ApiKey::kMetadata:
      return visit(wire::MetadataRequest()), true;
    case wire::ApiKey::kFindCoordinator:
      return visit(wire::FindCoordinatorRequest()), true;
    case wire::ApiKey::kSaslHandshake:
      return visit(wire::SaslHandshakeRequest()), true;
    case wire::ApiKey::kApiVersions:
      return visit(wire::ApiVersionsRequest()), true;
    case wire::ApiKey::kInitProducerId:
      return visit(wire::InitProducerIdRequest()), true;
    case wire::ApiKey::kAddPartitionsToTxn:
      return visit(wire::AddPartitionsToTxnRequest()), true;
    case wire::ApiKey::kEndTxn:
      return visit(wire::EndTxnRequest()), true;
    case wire::ApiKey::kDescribeConfigs:
      return visit(wire::DescribeConfigsRequest()), true;
    case wire::ApiKey::kSaslAuthenticate:
      return visit(wire::SaslAuthenticateRequest()), true;
    case wire::ApiKey::kDescribeProducers:
      return visit(wire::DescribeProducersRequest()), true;
    case wire::ApiKey::kDescribeTransactions:
      return visit(wire::DescribeTransactionsRequest()), true;
    case wire::ApiKey::kListTransactions:
      return visit(wire::ListTransactionsRequest()), true;
  }
  return false;
}

}  // namespace assent::kafka
