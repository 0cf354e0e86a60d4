// A Connection and a broker that says whatever it likes, on one loop and a loopback socket.
//
// An input is a script: how to connect (1 byte: 1 is with SASL), which requests are made (a count of 1 byte, an API key
// of 1 byte each), and then what the broker does, step by step (1 byte each, see Step). A script that has been read to
// its end ends the connection. The broker writes, and the connection reads, in turn: the same script runs the same way.
#include <algorithm>
#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/check.h"
#include "participants/kafka/connection.h"
#include "tests/fuzz/allocations.h"
#include "tests/fuzz/kafka_messages.h"

namespace assent::kafka {
namespace {

using boost::asio::ip::tcp;
using boost::system::error_code;

constexpr std::size_t kMostRequests = 16;
constexpr std::size_t kMostAllocatedPerByte = 256;
constexpr std::size_t kMostAllocatedBesides = 1u << 20;  // a connection, with its buffer; SASL
constexpr char kPasswordVariable[] = "ASSENT_FUZZ_PASSWORD";

class Run {
 public:
  Run(boost::asio::io_context& loop, tcp::acceptor& acceptor, std::string_view script)
      : loop_(loop), acceptor_(acceptor), script_(script), peer_(loop) {}

  void Go() {
    const bool by_sasl = (script_.Int8() & 1) != 0;
    std::vector<wire::ApiKey> keys;
    for (std::size_t n = script_.Int8() & (kMostRequests - 1); n > 0; --n) keys.push_back(wire::ApiKey{script_.Int8()});
    Connect(by_sasl);
    // Half of them wait for the connection to be ready.
    for (std::size_t i = 0; i < keys.size(); ++i) (i % 2 == 0) ? Call(keys[i]) : later_.push_back(keys[i]);
    AwaitGreeting();
    while (script_.remaining() > 0 && !connection_->failed()) Step();
    // The end: without it TIME_WAIT would use up the ports.
    error_code ignored;
    peer_.set_option(boost::asio::socket_base::linger(true, 0), ignored);
    peer_.close(ignored);
    loop_.restart();
    loop_.run();
    Judge();
  }

 private:
  void Connect(bool by_sasl) {
    KafkaOptions options;
    options.max_in_flight = 4;
    options.max_queued_requests = 8;
    options.sasl_password_env = kPasswordVariable;
    Security security;
    if (by_sasl) security = {.sasl_mechanism = "PLAIN", .user = "fuzz"};
    address_ = {"127.0.0.1", std::to_string(acceptor_.local_endpoint().port())};
    connection_ = std::make_shared<Connection>(loop_, options, security, "fuzz", address_,
                                               Connection::Events{.ready = [this](const auto&) { MakeLaterCalls(); },
                                                                  .failed =
                                                                      [this](const std::string& why) {
                                                                        ASSENT_CHECK(failure_.empty(),
                                                                                     "a connection failed twice");
                                                                        failure_ = why;
                                                                      }});
    connection_->Connect();
  }

  void MakeLaterCalls() {
    for (const wire::ApiKey key : std::exchange(later_, {})) Call(key);
  }

  void Call(wire::ApiKey key) {
    VisitRequest(key, [&](const auto& request) {
      using Request = std::decay_t<decltype(request)>;
      times_completed_.push_back(0);
      connection_->Call<Request>(request, [this, i = times_completed_.size() - 1](const auto& answer) {
        ++times_completed_[i];
        ASSENT_CHECK((answer.delivery == Delivery::kAnswered) == answer.message.empty(), "no answer has a reason");
      });
    });
  }

  void AwaitGreeting() {
    loop_.restart();
    bool accepted = false;
    acceptor_.async_accept(peer_, [&](const error_code& error) {
      ASSENT_CHECK(!error, "loopback does not work");
      accepted = true;
    });
    while (!accepted || peer_.available() == 0) loop_.run_one();
    peer_.non_blocking(true);
    HearRequests();
  }

  // What the broker does next.
  void Step() {
    switch (static_cast<std::uint8_t>(script_.Int8()) % 6) {
      case 0:  // answers, as far as the frame goes
      case 1:
        return Answer(NextRequest(), Text());
      case 2:  // answers somebody else
        return Answer(script_.Int32(), Text());
      case 3: {  // says what is no frame, or only a part of one
        return Write(Text());
      }
      case 4: {  // says another length than it sends
        wire::Encoder out;
        out.Int32(script_.Int32());
        out.Int32(NextRequest());
        out.Raw(Text());
        return Write(out.bytes());
      }
      case 5: {  // says no more
        error_code ignored;
        peer_.shutdown(tcp::socket::shutdown_send, ignored);
        return LetConnectionWork();
      }
    }
  }

  std::string_view Text() {
    const auto bytes = static_cast<std::uint16_t>(script_.Int16());
    return script_.Raw(std::min<std::size_t>(bytes, script_.remaining()));
  }

  std::int32_t NextRequest() {
    if (requests_.empty()) return 0;
    const std::int32_t id = requests_.front();
    requests_.pop_front();
    return id;
  }

  void Answer(std::int32_t correlation_id, std::string_view body) {
    wire::Encoder out;
    out.Int32(static_cast<std::int32_t>(body.size() + 4));
    out.Int32(correlation_id);
    out.Raw(body);
    Write(out.bytes());
  }

  void Write(std::string_view bytes) {
    error_code ignored;  // the connection may have ended
    boost::asio::write(peer_, boost::asio::buffer(bytes), ignored);
    LetConnectionWork();
    HearRequests();
  }

  // Loopback hands over at once: what was written is there to be read.
  void LetConnectionWork() {
    do loop_.restart();
    while (loop_.poll() > 0);
  }

  void HearRequests() {
    std::array<char, 4096> buffer;
    error_code error;
    for (std::size_t bytes; (bytes = peer_.read_some(boost::asio::buffer(buffer), error)) > 0;) {
      heard_.append(buffer.data(), bytes);
    }
    std::size_t taken = 0;
    while (heard_.size() - taken >= 12) {
      wire::Decoder in(std::string_view(heard_).substr(taken));
      const auto length = static_cast<std::size_t>(in.Int32());
      in.Int32();  // API key and version
      if (in.remaining() + 4 < length) break;
      requests_.push_back(in.Int32());
      taken += 4 + length;
    }
    heard_.erase(0, taken);
  }

  void Judge() const {
    ASSENT_CHECK(connection_->failed(), "a connection outlives its broker");
    ASSENT_CHECK(connection_->load() == 0, "a connection that has failed keeps requests");
    const std::string named = "broker " + address_.ToString() + ": ";
    ASSENT_CHECK(failure_.starts_with(named) && failure_.size() > named.size(), "a connection failed without a reason");
    ASSENT_CHECK(std::all_of(times_completed_.begin(), times_completed_.end(), [](int times) { return times == 1; }),
                 "a request was not completed once");
  }

  boost::asio::io_context& loop_;
  tcp::acceptor& acceptor_;
  wire::Decoder script_;  // past its end it answers zeros
  tcp::socket peer_;
  std::string heard_;                  // from the connection: the beginning of a frame
  std::deque<std::int32_t> requests_;  // correlation ids that the broker has not used
  Address address_;
  std::shared_ptr<Connection> connection_;
  std::vector<wire::ApiKey> later_;
  std::vector<int> times_completed_;  // by request
  std::string failure_;
};

}  // namespace
}  // namespace assent::kafka

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using assent::kafka::tcp;
  static boost::asio::io_context loop;
  static tcp::acceptor acceptor(loop, {boost::asio::ip::address_v4::loopback(), 0});
  static const int password_is_set = setenv(assent::kafka::kPasswordVariable, "secret", 1);
  ASSENT_CHECK(password_is_set == 0, "setenv");
  const assent::Allocations allocations;
  assent::kafka::Run(loop, acceptor, {reinterpret_cast<const char*>(data), size}).Go();
  ASSENT_CHECK(
      allocations.bytes() <= assent::kafka::kMostAllocatedPerByte * size + assent::kafka::kMostAllocatedBesides,
      "a broker's answers took more memory than their size explains");
  return 0;
}
