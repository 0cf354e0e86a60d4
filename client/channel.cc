#include "client/channel.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <fstream>
#include <sstream>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

namespace assent {
inline namespace client {
namespace {

// The trailers of a reply; the coordinator stays below gRPC's default of 8 KiB, proxies may add to them.
constexpr int kMaxMetadataBytes = 64 << 10;
constexpr int kFirstReconnectMs = 100;  // the least that gRPC takes
constexpr int kMaxReconnectMs = 1000;   // its default of two minutes would outlast every transaction

absl::StatusOr<std::string> ReadPem(const std::string& path) {
  if (path.empty()) return std::string();
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file || !text) {
    return absl::InvalidArgumentError(absl::StrCat("the client's TLS file ", path, " cannot be read"));
  }
  return text.str();
}

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> Credentials(const ClientTls* tls) {
  if (tls == nullptr) return grpc::InsecureChannelCredentials();
  grpc::SslCredentialsOptions options;
  for (const auto& [path, pem] :
       {std::pair{&tls->server_ca, &options.pem_root_certs}, std::pair{&tls->certificate, &options.pem_cert_chain},
        std::pair{&tls->key, &options.pem_private_key}}) {
    auto text = ReadPem(*path);
    if (!text.ok()) return text.status();
    *pem = *std::move(text);
  }
  return grpc::SslCredentials(options);
}

grpc::ChannelArguments ArgumentsOf(const ClientOptions& options) {
  grpc::ChannelArguments arguments;
  // A result that the client refused for its size would hide that the transaction is committed. The coordinator bounds
  // what it sends.
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetMaxSendMessageSize(-1);
  arguments.SetInt(GRPC_ARG_MAX_METADATA_SIZE, kMaxMetadataBytes);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kFirstReconnectMs);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kMaxReconnectMs);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);  // the retries are ours
  if (options.tls != nullptr && !options.tls->server_name.empty()) {
    arguments.SetSslTargetNameOverride(options.tls->server_name);
  }
  return arguments;
}

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::Channel>> MakeChannel(const ClientOptions& options) {
  const auto credentials = Credentials(options.tls.get());
  if (!credentials.ok()) return credentials.status();
  return grpc::CreateCustomChannel(options.address, *credentials, ArgumentsOf(options));
}

}  // namespace client
}  // namespace assent
