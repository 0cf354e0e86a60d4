#include "coordinator/server/listen_address.h"

#include <arpa/inet.h>
#include <sys/un.h>

#include <algorithm>
#include <charconv>

#include "absl/strings/str_cat.h"

namespace assent {
namespace {

constexpr std::string_view kUnixPrefix = "unix:";

bool IsIpv4(const std::string& host) {
  in_addr address;
  return inet_pton(AF_INET, host.c_str(), &address) == 1;
}

bool IsIpv6(const std::string& host) {
  in6_addr address;
  return inet_pton(AF_INET6, host.c_str(), &address) == 1;
}

bool IsHostName(const std::string& host) {
  return !host.empty() && std::all_of(host.begin(), host.end(), [](unsigned char c) {
    return std::isalnum(c) || c == '-' || c == '.' || c == '_';
  });
}

bool IsLoopback(const std::string& host) {
  return host == "localhost" || host == "::1" || (IsIpv4(host) && host.rfind("127.", 0) == 0);
}

std::optional<int> ParsePort(std::string_view text) {
  int port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port < 0 || port > 65535) return std::nullopt;
  return port;
}

std::optional<ListenAddress> ParseUnixSocket(std::string_view text) {
  const std::string path(text.substr(kUnixPrefix.size()));
  if (path.size() < 2 || path[0] != '/' || path.size() >= sizeof(sockaddr_un::sun_path)) return std::nullopt;
  return ListenAddress{ListenAddress::Kind::kUnixSocket, std::string(text), path, 0};
}

}  // namespace

std::string ListenAddress::WithPort(int bound_port) const {
  if (kind == Kind::kUnixSocket) return text;
  return absl::StrCat(text.substr(0, text.rfind(':')), ":", bound_port);
}

std::optional<ListenAddress> ParseListenAddress(std::string_view text) {
  if (text.substr(0, kUnixPrefix.size()) == kUnixPrefix) return ParseUnixSocket(text);
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto port = ParsePort(text.substr(colon + 1));
  if (!port) return std::nullopt;
  std::string host(text.substr(0, colon));
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
    if (!IsIpv6(host)) return std::nullopt;
  } else if (!IsIpv4(host) && !IsHostName(host)) {
    return std::nullopt;
  }
  const auto kind = IsLoopback(host) ? ListenAddress::Kind::kLoopback : ListenAddress::Kind::kNetwork;
  return ListenAddress{kind, std::string(text), host, *port};
}

}  // namespace assent
