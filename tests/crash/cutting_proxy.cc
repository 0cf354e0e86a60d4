#include "tests/crash/cutting_proxy.h"

#include <array>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <utility>

namespace assent::integration {
namespace {

using boost::asio::ip::tcp;
using boost::system::error_code;

std::uint32_t BigEndian(std::string_view bytes) {
  std::uint32_t number = 0;
  for (const char byte : bytes.substr(0, 4)) number = number << 8 | static_cast<std::uint8_t>(byte);
  return number;
}

}  // namespace

std::string NameOf(Cut cut) {
  switch (cut) {
    case Cut::kBeforeTheRequest:
      return "BeforeTheRequest";
    case Cut::kWithinTheRequest:
      return "WithinTheRequest";
    case Cut::kBeforeTheAnswer:
      return "BeforeTheAnswer";
    case Cut::kDelayed:
      return "Delayed";
    case Cut::kRepeated:
      return "Repeated";
  }
  return "";
}

std::size_t LengthOfKafkaRequest(std::string_view bytes) {
  if (bytes.size() < 4) return 0;
  const std::size_t length = 4 + BigEndian(bytes);
  return bytes.size() < length ? 0 : length;
}

std::int16_t KafkaApiKeyOf(std::string_view request) {
  return static_cast<std::int16_t>(BigEndian(request.substr(4)) >> 16);
}

// The first message of a connection has no type before its length.
std::size_t LengthOfPostgresRequest(std::string_view bytes) {
  if (bytes.size() < 5) return 0;
  const std::size_t type = bytes[0] == '\0' ? 0 : 1;
  const std::size_t length = type + BigEndian(bytes.substr(type));
  return bytes.size() < length ? 0 : length;
}

struct CuttingProxy::Link {
  explicit Link(boost::asio::io_context& loop) : client(loop), server(loop) {}

  // Both ends learn it at once, as from a machine between them that has forgotten the connection.
  void Reset() {
    Reset(client);
    Reset(server);
  }
  static void Reset(tcp::socket& socket) {
    error_code ignored;
    socket.set_option(boost::asio::socket_base::linger(true, 0), ignored);
    socket.close(ignored);
  }

  tcp::socket client;
  tcp::socket server;
  std::array<char, 65536> from_client;
  std::array<char, 65536> from_server;
  std::string unsent;  // of the client: not a whole request yet
  bool cut_at_answer = false;
  std::string delayed;  // of a client that is gone
  bool is_delivered = false;
};

CuttingProxy::CuttingProxy(std::uint16_t port, std::uint16_t server_port, LengthOfFirst length_of_first)
    : acceptor_(loop_, tcp::endpoint(boost::asio::ip::address_v4::loopback(), port)),
      server_(boost::asio::ip::address_v4::loopback(), server_port),
      length_of_first_(std::move(length_of_first)) {
  Accept();
  thread_ = std::thread([this] { loop_.run(); });
}

CuttingProxy::~CuttingProxy() {
  loop_.stop();
  thread_.join();
}

void CuttingProxy::CutNext(Matches matches, Cut cut) {
  const std::lock_guard lock(mutex_);
  matches_ = std::move(matches);
  cut_ = cut;
  has_cut_ = false;
  has_delivered_ = false;
}

void CuttingProxy::Accept() {
  auto link = std::make_shared<Link>(loop_);
  acceptor_.async_accept(link->client, [this, link](const error_code& error) {
    if (error) return;
    Accept();
    link->server.async_connect(server_, [this, link](const error_code& refused) {
      if (refused) return link->Reset();
      for (tcp::socket* socket : {&link->client, &link->server}) socket->set_option(tcp::no_delay(true));
      ReadClient(link);
      ReadServer(link);
    });
  });
}

// The writes wait for each other: what one end does not read is not read from the other.
void CuttingProxy::ReadClient(const std::shared_ptr<Link>& link) {
  link->client.async_read_some(boost::asio::buffer(link->from_client),
                               [this, link](const error_code& error, std::size_t size) {
                                 if (error) return link->Reset();
                                 link->unsent.append(link->from_client.data(), size);
                                 if (Forward(link)) ReadClient(link);
                               });
}

bool CuttingProxy::Forward(const std::shared_ptr<Link>& link) {
  while (const std::size_t length = length_of_first_(link->unsent)) {
    std::string request = link->unsent.substr(0, length);
    link->unsent.erase(0, length);
    Cut cut = Cut::kBeforeTheRequest;
    const bool is_named = IsNamed(request, cut);
    if (is_named && cut == Cut::kDelayed) {
      link->delayed = std::move(request);
      Link::Reset(link->client);
      delayed_ = link;
      has_cut_ = true;
      return false;
    }
    if (is_named && cut == Cut::kRepeated) {
      delayed_ = std::make_shared<Link>(loop_);  // whose client never was
      delayed_->delayed = request;
      has_cut_ = true;
    }
    if (is_named && cut == Cut::kBeforeTheRequest) request.clear();
    if (is_named && cut == Cut::kWithinTheRequest) request.resize(length / 2);
    error_code error;
    boost::asio::write(link->server, boost::asio::buffer(request), error);
    if (is_named && cut == Cut::kBeforeTheAnswer) {
      link->cut_at_answer = true;
    } else if (error || (is_named && cut != Cut::kRepeated)) {
      has_cut_ = has_cut_ || is_named;
      link->Reset();
      return false;
    }
  }
  return true;
}

bool CuttingProxy::IsNamed(std::string_view request, Cut& cut) {
  const std::lock_guard lock(mutex_);
  if (!matches_ || !matches_(request)) return false;
  matches_ = nullptr;
  cut = cut_;
  return true;
}

void CuttingProxy::ReadServer(const std::shared_ptr<Link>& link) {
  link->server.async_read_some(boost::asio::buffer(link->from_server),
                               [this, link](const error_code& error, std::size_t size) {
                                 if (error) return link->Reset();
                                 if (link->cut_at_answer) {
                                   has_cut_ = true;
                                   return link->Reset();
                                 }
                                 if (!link->client.is_open()) return ReadForNobody(link);
                                 error_code gone;
                                 boost::asio::write(link->client, boost::asio::buffer(link->from_server, size), gone);
                                 if (gone) return link->Reset();
                                 ReadServer(link);
                               });
}

void CuttingProxy::Deliver() {
  boost::asio::post(loop_, [this] {
    delayed_->is_delivered = true;
    error_code error;
    if (!delayed_->server.is_open()) {
      delayed_->server.connect(server_, error);
      ReadServer(delayed_);
    }
    if (!error) boost::asio::write(delayed_->server, boost::asio::buffer(delayed_->delayed), error);
    if (error) delayed_->Reset();
  });
}

void CuttingProxy::ReadForNobody(const std::shared_ptr<Link>& link) {
  has_delivered_ = has_delivered_ || link->is_delivered;
  ReadServer(link);
}

}  // namespace assent::integration
