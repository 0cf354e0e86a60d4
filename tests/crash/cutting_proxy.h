#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

namespace assent::integration {

// Where in an exchange a connection is cut.
enum class Cut {
  kBeforeTheRequest,  // the server never sees it
  kWithinTheRequest,  // the server gets the first half of it
  kBeforeTheAnswer,   // the server has it, and the client never hears
  kDelayed,           // the client never hears, and the server gets it when the test says so: Deliver()
  kRepeated,          // none at all: the server gets it now, and once more with Deliver()
};

std::string NameOf(Cut cut);  // "BeforeTheRequest"

// A TCP proxy before one server, which cuts a connection at a request that a test names. Both ends see the connection
// reset, but for the server of one that is delayed; new ones are let through.
//
// Thread-safe. It has a thread of its own.
class CuttingProxy {
 public:
  // The length of the first request in `bytes`, as the client sends them; 0: it is not complete yet.
  using LengthOfFirst = std::function<std::size_t(std::string_view bytes)>;
  using Matches = std::function<bool(std::string_view request)>;

  // Listens on 127.0.0.1:`port`, before 127.0.0.1:`server_port`.
  CuttingProxy(std::uint16_t port, std::uint16_t server_port, LengthOfFirst length_of_first);
  ~CuttingProxy();
  CuttingProxy(const CuttingProxy&) = delete;
  CuttingProxy& operator=(const CuttingProxy&) = delete;

  // Cuts the connection of the next request that matches. Once.
  void CutNext(Matches matches, Cut cut);
  bool has_cut() const { return has_cut_; }

  // Hands over what kDelayed holds back, on the connection that it came by, or what kRepeated has kept. Once for each.
  void Deliver();
  bool has_delivered() const { return has_delivered_; }  // and the server has answered it

 private:
  struct Link;

  void Accept();
  void ReadClient(const std::shared_ptr<Link>& link);
  void ReadServer(const std::shared_ptr<Link>& link);
  // Sends on what is complete; false where the connection has been cut.
  bool Forward(const std::shared_ptr<Link>& link);
  // The client is gone: what the server still says is read, and thrown away.
  void ReadForNobody(const std::shared_ptr<Link>& link);
  bool IsNamed(std::string_view request, Cut& cut);

  boost::asio::io_context loop_{1};
  boost::asio::ip::tcp::acceptor acceptor_;
  const boost::asio::ip::tcp::endpoint server_;
  const LengthOfFirst length_of_first_;
  std::mutex mutex_;
  Matches matches_;
  Cut cut_ = Cut::kBeforeTheRequest;
  std::atomic<bool> has_cut_ = false;
  std::shared_ptr<Link> delayed_;  // the thread only
  std::atomic<bool> has_delivered_ = false;
  std::thread thread_;
};

// Requests of the two protocols.
std::size_t LengthOfPostgresRequest(std::string_view bytes);
std::size_t LengthOfKafkaRequest(std::string_view bytes);
std::int16_t KafkaApiKeyOf(std::string_view request);

}  // namespace assent::integration
