#include "coordinator/server/server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "coordinator/server/listen_address.h"

namespace assent {
namespace {

// Only the reflection service uses gRPC's own thread pool; it is asked by people, seldom.
constexpr int kMaxPoolThreads = 4;

constexpr int kKeepaliveMs = 60'000;
constexpr int kKeepaliveTimeoutMs = 20'000;
constexpr int kMinCallerPingMs = 10'000;

// A little above the bound that the services check, so that theirs is the message that callers see, up to here.
int GrpcMessageBound(std::uint64_t max_request_bytes) {
  const std::uint64_t bound = 2 * max_request_bytes + (1 << 20);
  return static_cast<int>(std::min<std::uint64_t>(bound, std::numeric_limits<int>::max()));
}

// Whether somebody listens on a Unix socket. gRPC would take the path away from them.
bool IsServed(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  const int asking = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const bool served = ::connect(asking, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  ::close(asking);
  return served;
}

std::vector<std::string> ServiceNames() {
  return {v1::Coordinator::service_full_name(), v1::Admin::service_full_name()};
}

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> Credentials(const TlsFiles& files) {
  if (!files.enabled()) return grpc::InsecureServerCredentials();
  auto pems = ReadTlsFiles(files);
  if (!pems.ok()) return pems.status();
  grpc::SslServerCredentialsOptions options(GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE);
  if (!pems->client_ca.empty()) {
    options.pem_root_certs = std::move(pems->client_ca);
    options.client_certificate_request = GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY;
  }
  options.pem_key_cert_pairs.push_back({std::move(pems->key), std::move(pems->certificate)});
  return grpc::SslServerCredentials(options);
}

void ConfigureThreadsAndBounds(const ServerOptions& options, grpc::ServerBuilder& builder) {
  grpc::ResourceQuota quota("assentd");
  quota.SetMaxThreads(kMaxPoolThreads);
  builder.SetResourceQuota(quota);
  builder.SetSyncServerOption(grpc::ServerBuilder::SyncServerOption::NUM_CQS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::SyncServerOption::MIN_POLLERS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::SyncServerOption::MAX_POLLERS, 1);
  builder.SetMaxReceiveMessageSize(GrpcMessageBound(options.max_request_bytes));
  builder.SetMaxSendMessageSize(
      -1);  // replies are bounded by the participants, and a refused one would hide an outcome
  // A caller whose machine has vanished does not hold its connection and its calls for ever; callers may ask likewise.
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, kMinCallerPingMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);  // two processes on one port would each get half the calls
}

}  // namespace

Server::Server(const ServerOptions& options, Engine& engine)
    : calls_(options.max_calls),
      coordinator_({engine, calls_, options.max_request_bytes, options.max_operations}),
      admin_({engine, calls_, options.max_request_bytes, options.max_operations}) {}

Server::~Server() { Stop(absl::ZeroDuration()); }

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const ServerOptions& options, Engine& engine) {
  auto server = std::unique_ptr<Server>(new Server(options, engine));
  if (absl::Status listening = server->Listen(options); !listening.ok()) return listening;
  return server;
}

absl::Status Server::Listen(const ServerOptions& options) {
  auto credentials = Credentials(options.tls);
  if (!credentials.ok()) return credentials.status();
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  ConfigureThreadsAndBounds(options, builder);
  std::vector<int> ports(options.listen.size(), 0);  // gRPC fills them in; never resized
  std::vector<ListenAddress> addresses;
  for (std::size_t i = 0; i < options.listen.size(); ++i) {
    auto address = ParseListenAddress(options.listen[i]);
    if (!address) return absl::InvalidArgumentError(absl::StrCat("\"", options.listen[i], "\" is no address"));
    const bool local = address->kind == ListenAddress::Kind::kUnixSocket;
    if (local && IsServed(address->host)) {
      return absl::UnavailableError(absl::StrCat("cannot listen on ", address->text, ": another process does"));
    }
    builder.AddListeningPort(address->text, local ? grpc::InsecureServerCredentials() : *credentials, &ports[i]);
    addresses.push_back(*std::move(address));
  }
  builder.RegisterService(&coordinator_);
  builder.RegisterService(&admin_);
  server_ = builder.BuildAndStart();
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    if (ports[i] != 0) {
      addresses_.push_back(addresses[i].WithPort(ports[i]));
    } else if (server_ == nullptr) {
      return absl::UnavailableError(
          absl::StrCat("cannot listen on ", addresses[i].text, ": the address is in use or not of this machine"));
    }
  }
  if (server_ == nullptr) return absl::UnavailableError("gRPC could not start its server");
  // gRPC's health service answers for the whole server by itself; people also ask for a service by its name.
  for (const std::string& name : ServiceNames()) server_->GetHealthCheckService()->SetServingStatus(name, true);
  return absl::OkStatus();
}

void Server::Stop(absl::Duration patience) {
  if (server_ == nullptr) return;
  server_->GetHealthCheckService()->SetServingStatus(false);  // of every name
  // gRPC's own patience also waits for callers that are merely connected; ours is for calls.
  calls_.Drain(patience);
  server_->Shutdown(absl::ToChronoTime(absl::Now()));
  server_->Wait();
  server_.reset();
}

}  // namespace assent
