#include "tests/integration/meddling_proxy.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>

namespace assent::integration {
namespace {

constexpr int kLookEveryMs = 20;  // whether to stop

sockaddr_in Loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  return address;
}

bool SendAll(int socket, const std::string& bytes) {
  for (std::size_t sent = 0; sent < bytes.size();) {
    const ssize_t more = send(socket, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (more <= 0) return false;
    sent += static_cast<std::size_t>(more);
  }
  return true;
}

}  // namespace

MeddlingProxy::MeddlingProxy(int target_port) : target_port_(target_port) {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof address;
  EXPECT_EQ(bind(listener_, reinterpret_cast<const sockaddr*>(&address), size), 0);
  EXPECT_EQ(listen(listener_, 64), 0);
  EXPECT_EQ(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size), 0);
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { Run(); });
}

MeddlingProxy::~MeddlingProxy() {
  stopping_ = true;
  thread_.join();
  close(listener_);
}

void MeddlingProxy::CutAt(const std::string& word) {
  const std::lock_guard lock(mutex_);
  word_ = word;
  holds_ = false;
}

void MeddlingProxy::HoldAt(const std::string& word) {
  const std::lock_guard lock(mutex_);
  word_ = word;
  holds_ = true;
}

void MeddlingProxy::Heal() {
  CutAt("");
  is_cut_ = false;
}

void MeddlingProxy::Run() {
  while (!stopping_) {
    std::vector<pollfd> watched = {{.fd = listener_, .events = POLLIN, .revents = 0}};
    for (const Pair& pair : pairs_) {
      watched.push_back({.fd = pair.is_held ? -1 : pair.client, .events = POLLIN, .revents = 0});
      watched.push_back({.fd = pair.server, .events = POLLIN, .revents = 0});
    }
    poll(watched.data(), watched.size(), kLookEveryMs);
    std::vector<Pair> kept;
    for (std::size_t i = 0; i < pairs_.size(); ++i) {
      Pair& pair = pairs_[i];
      const bool goes_on = (watched[1 + 2 * i].revents == 0 || Forward(pair, true)) &&
                           (watched[2 + 2 * i].revents == 0 || Forward(pair, false)) && !is_cut_;
      if (goes_on) {
        kept.push_back(std::move(pair));
      } else {
        close(pair.client);
        close(pair.server);
      }
    }
    pairs_ = std::move(kept);
    if (watched[0].revents != 0) Accept();
  }
  for (const Pair& pair : pairs_) {
    close(pair.client);
    close(pair.server);
  }
}

void MeddlingProxy::Accept() {
  const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
  if (client < 0) return;
  const int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = Loopback(target_port_);
  if (is_cut_ || connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    close(client);
    close(server);
    return;
  }
  pairs_.push_back({.client = client, .server = server});
}

bool MeddlingProxy::Forward(Pair& pair, bool from_client) {
  std::array<char, 16384> buffer;
  const ssize_t got = recv(from_client ? pair.client : pair.server, buffer.data(), buffer.size(), 0);
  if (got <= 0) return false;
  const std::string bytes(buffer.data(), static_cast<std::size_t>(got));
  if (from_client && HearsTheWord(pair, bytes)) {
    const std::lock_guard lock(mutex_);
    pair.is_held = holds_;
    (holds_ ? has_held_ : is_cut_) = true;
    return holds_;
  }
  return SendAll(from_client ? pair.server : pair.client, bytes);
}

bool MeddlingProxy::HearsTheWord(Pair& pair, const std::string& bytes) {
  const std::lock_guard lock(mutex_);
  if (word_.empty()) return false;
  pair.said += bytes;
  if (pair.said.find(word_) != std::string::npos) return true;
  if (pair.said.size() > word_.size()) pair.said.erase(0, pair.said.size() - word_.size());
  return false;
}

}  // namespace assent::integration
