#include "participants/kafka/security.h"

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "participants/kafka/sasl_client.h"

namespace assent::kafka {
namespace {

namespace ssl = boost::asio::ssl;
using boost::system::error_code;

absl::Status Wrong(const KafkaOptions& options, std::string_view option, std::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat("participant \"", options.name, "\": ", std::string(option), " ", std::string(what)));
}

absl::Status CannotUse(const KafkaOptions& options, std::string_view option, const std::string& path,
                       const error_code& error) {
  return Wrong(options, option, absl::StrCat("= ", path, " cannot be used: ", error.message()));
}

absl::StatusOr<std::shared_ptr<ssl::context>> MakeTls(const KafkaOptions& options) {
  auto context = std::make_shared<ssl::context>(ssl::context::tls_client);
  context->set_options(ssl::context::no_tlsv1 | ssl::context::no_tlsv1_1);
  context->set_verify_mode(ssl::verify_peer);
  error_code error;
  if (options.tls_ca.empty()) {
    context->set_default_verify_paths(error);
    if (error) return CannotUse(options, "tls_ca", "(the system's authorities)", error);
  } else {
    context->load_verify_file(options.tls_ca, error);
    if (error) return CannotUse(options, "tls_ca", options.tls_ca, error);
  }
  if (options.tls_certificate.empty() != options.tls_key.empty()) {
    return Wrong(options, "tls_certificate and tls_key", "go together");
  }
  if (options.tls_certificate.empty()) return context;
  context->use_certificate_chain_file(options.tls_certificate, error);
  if (error) return CannotUse(options, "tls_certificate", options.tls_certificate, error);
  // An encrypted key is not asked for its password: nobody sits there.
  context->set_password_callback([](std::size_t, ssl::context::password_purpose) { return std::string(); }, error);
  if (error) return CannotUse(options, "tls_key", options.tls_key, error);
  context->use_private_key_file(options.tls_key, ssl::context::pem, error);
  if (error) return CannotUse(options, "tls_key", options.tls_key, error);
  return context;
}

}  // namespace

absl::StatusOr<Security> MakeSecurity(const KafkaOptions& options) {
  Security security{.sasl_mechanism = options.sasl_mechanism, .user = options.sasl_user};
  if (options.tls) {
    auto tls = MakeTls(options);
    if (!tls.ok()) return tls.status();
    security.tls = *std::move(tls);
  } else if (!options.tls_ca.empty() || !options.tls_certificate.empty() || !options.tls_key.empty()) {
    return Wrong(options, "tls_ca, tls_certificate and tls_key", "are for tls = true");
  }
  if (security.sasl_mechanism.empty()) {
    if (options.sasl_user.empty() && options.sasl_password_file.empty() && options.sasl_password_env.empty()) {
      return security;
    }
    return Wrong(options, "sasl_user and its password", "are for a sasl_mechanism, and there is none");
  }
  if (!IsSaslMechanism(security.sasl_mechanism)) {
    return Wrong(options, "sasl_mechanism", absl::StrCat("= ", security.sasl_mechanism, " is not supported"));
  }
  if (security.user.empty()) return Wrong(options, "sasl_user", "is missing");
  if (options.sasl_password_file.empty() == options.sasl_password_env.empty()) {
    return Wrong(options, "sasl_password_file or sasl_password_env", "must be given, and one of them only");
  }
  if (const auto password = ReadPassword(options); !password.ok()) {
    return absl::InvalidArgumentError(password.status().message());
  }
  return security;
}

absl::StatusOr<std::string> ReadPassword(const KafkaOptions& options) {
  const auto missing = [&](const std::string& what) {
    return absl::FailedPreconditionError(absl::StrCat("participant \"", options.name, "\": ", what));
  };
  if (!options.sasl_password_env.empty()) {
    const char* const value = std::getenv(options.sasl_password_env.c_str());
    if (value != nullptr) return std::string(value);
    return missing(
        absl::StrCat("sasl_password_env = ", options.sasl_password_env, " is not set in assentd's environment"));
  }
  std::ifstream file(options.sasl_password_file, std::ios::binary);
  std::string password(std::istreambuf_iterator<char>(file), {});
  if (!file.good() && !file.eof()) {
    return missing(absl::StrCat("sasl_password_file = ", options.sasl_password_file, " cannot be read"));
  }
  // Editors end a file with a line feed.
  while (!password.empty() && (password.back() == '\n' || password.back() == '\r')) password.pop_back();
  if (password.empty()) {
    return missing(absl::StrCat("sasl_password_file = ", options.sasl_password_file, " is empty or cannot be read"));
  }
  return password;
}

}  // namespace assent::kafka
