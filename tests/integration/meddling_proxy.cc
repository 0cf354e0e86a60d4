#include "tests/integration/meddling_proxy.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
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

void MeddlingProxy::CutAt(const std::string& word) { MeddleAt(word, Meddling::kCuts); }
void MeddlingProxy::HoldAt(const std::string& word) { MeddleAt(word, Meddling::kHolds); }
void MeddlingProxy::SpoilAt(const std::string& word) { MeddleAt(word, Meddling::kSpoils); }

void MeddlingProxy::MeddleAt(const std::string& word, Meddling meddling) {
  const std::lock_guard lock(mutex_);
  word_ = word;
  meddling_ = meddling;
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
  // What comes in pieces goes on in pieces, and none of them waits for the last one's acknowledgement.
  for (const int end : {client, server}) {
    const int on = 1;
    setsockopt(end, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  pairs_.push_back({.client = client, .server = server});
}

bool MeddlingProxy::Forward(Pair& pair, bool from_client) {
  std::array<char, 16384> buffer;
  const ssize_t got = recv(from_client ? pair.client : pair.server, buffer.data(), buffer.size(), 0);
  if (got <= 0) return false;
  std::string bytes(buffer.data(), static_cast<std::size_t>(got));
  if (from_client && HearsTheWord(pair, bytes)) {
    const std::lock_guard lock(mutex_);
    pair.is_held = meddling_ == Meddling::kHolds;
    (pair.is_held ? has_held_ : is_cut_) = true;
    return pair.is_held;
  }
  if (from_client) Spoil(bytes);
  return SendAll(from_client ? pair.server : pair.client, bytes);
}

bool MeddlingProxy::HearsTheWord(Pair& pair, const std::string& bytes) {
  const std::lock_guard lock(mutex_);
  if (word_.empty() || meddling_ == Meddling::kSpoils) return false;
  pair.said += bytes;
  if (pair.said.find(word_) != std::string::npos) return true;
  if (pair.said.size() > word_.size()) pair.said.erase(0, pair.said.size() - word_.size());
  return false;
}

void MeddlingProxy::Spoil(std::string& bytes) {
  const std::lock_guard lock(mutex_);
  if (word_.empty() || meddling_ != Meddling::kSpoils) return;
  for (std::size_t at = bytes.find(word_); at != std::string::npos; at = bytes.find(word_, at + word_.size())) {
    const auto begin = bytes.begin() + static_cast<std::ptrdiff_t>(at);
    std::replace(begin, begin + static_cast<std::ptrdiff_t>(word_.size()), ' ', '_');
  }
}

}  // namespace assent::integration
