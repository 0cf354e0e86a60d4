#pragma once

#include <boost/asio/ssl/context.hpp>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "participants/kafka/kafka_options.h"

namespace assent::kafka {

// How the brokers of a cluster are spoken to: in the clear or by TLS, and as whom.
struct Security {
  std::shared_ptr<boost::asio::ssl::context> tls;  // null: in the clear
  std::string sasl_mechanism;                      // empty: none
  std::string user;
};

// INVALID_ARGUMENT, with the name of the option, where a file cannot be used or options do not go together.
absl::StatusOr<Security> MakeSecurity(const KafkaOptions& options);

// From the file or the environment, whichever the options name; read again for each connection, so that it may change.
// FAILED_PRECONDITION, with the name of the option, where there is none.
absl::StatusOr<std::string> ReadPassword(const KafkaOptions& options);

}  // namespace assent::kafka
