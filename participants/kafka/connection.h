#pragma once

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "participants/kafka/kafka_options.h"
#include "participants/kafka/sasl_client.h"
#include "participants/kafka/transport.h"
#include "participants/kafka/wire/api.h"
#include "participants/kafka/wire/cluster_messages.h"
#include "participants/kafka/wire/decoder.h"
#include "participants/kafka/wire/security_messages.h"

namespace assent::kafka {

// Where a broker listens.
struct Address {
  std::string host;
  std::string port;

  friend bool operator==(const Address&, const Address&) = default;
  std::string ToString() const { return host + ":" + port; }
};

// How a request ended.
enum class Delivery : std::uint8_t {
  kAnswered,
  kNotSent,  // the broker never got it
  kLost,     // it was sent and no answer came: it may have been carried out
};

// The answer to a typed request.
template <typename Response>
struct Answer {
  Delivery delivery = Delivery::kNotSent;
  Response response;    // where answered
  std::string message;  // where not: why
};

// One TCP connection to one broker: requests are pipelined, and the broker answers in their order.
//
// Owned by a Broker, used on the shard's thread. It connects once; when it has failed it stays failed, and every
// request on it is completed. Close() drops the completions instead. Handlers in the event loop keep it alive until
// then.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  struct Events {
    std::function<void(const wire::ApiVersionsResponse&)> ready;  // connected, and the broker says what it can
    std::function<void(const std::string& why)> failed;           // at most once
    std::function<void(const std::string& why)> silent;  // after `failed`, where an answer did not come in time
  };

  Connection(boost::asio::io_context& loop, const KafkaOptions& options, const Security& security,
             std::string client_id, Address address, Events events);

  void Connect();

  // Sends a request, or queues it until connected. `done` runs exactly once, unless Close() comes first.
  template <typename Request>
  void Call(const Request& request, absl::AnyInvocable<void(Answer<typename Request::Response>)> done) {
    Send(Request::kKey, wire::EncodeFrame(request, next_correlation_id_, client_id_),
         Decoding<Request>(wire::VersionOf(request), std::move(done)));
  }

  // Gives the connection up for a reason: requests complete as kNotSent or kLost.
  void Fail(const std::string& why);

  // Ends the connection without a word to anybody.
  void Close();

  bool ready() const { return state_ == State::kReady; }
  bool failed() const { return state_ == State::kFailed; }
  std::size_t load() const { return queued_.size() + in_flight_.size(); }

 private:
  // Connected, by TLS where it is asked for, it learns what the broker can, says who it is, and is ready. A broker may
  // want to be told again later who it is: the connection greets once more, between two requests.
  enum class State : std::uint8_t { kConnecting, kGreeting, kReady, kFailed };

  // `answer` is the body of the response, or why there is none. An error says why a body cannot be understood: nobody
  // has been told of it, and the request is to be completed as one that got no answer.
  using RawDone = absl::AnyInvocable<absl::Status(Delivery delivery, std::string_view answer)>;

  struct Request {
    wire::ApiKey key;
    std::int32_t correlation_id;
    std::string frame;
    RawDone done;
    std::chrono::steady_clock::time_point sent_at;
  };

  template <typename Request>
  static RawDone Decoding(std::int16_t version, absl::AnyInvocable<void(Answer<typename Request::Response>)> done) {
    return [version, done = std::move(done)](Delivery delivery, std::string_view answer) mutable {
      Answer<typename Request::Response> result{.delivery = delivery};
      if (delivery == Delivery::kAnswered) {
        auto response = wire::DecodeAnswer<Request>(answer, version);
        if (!response.ok()) return response.status();
        result.response = *std::move(response);
      } else {
        result.message = std::string(answer);
      }
      done(std::move(result));
      return absl::OkStatus();
    };
  }

  std::int32_t TakeCorrelationId();
  void Send(wire::ApiKey key, std::string frame, RawDone done);
  void BeginTls();
  void Greet();
  void Authenticate();
  void SayWho(const std::string& bytes);
  void HearBack(const wire::SaslAuthenticateResponse& answer);
  void BeReady();
  template <typename First>
  void SendFirst(const First& request, std::function<void(const typename First::Response&)> done);
  void Flush();
  void Read();
  std::string WhyEnded(const boost::system::error_code& error) const;
  void TakeFrames();
  bool TakeFrame(std::string_view frame);
  void WatchTime();
  void CheckTime();

  boost::asio::io_context& loop_;
  const KafkaOptions options_;
  const Security security_;
  const std::string client_id_;
  const Address address_;
  Events events_;
  State state_ = State::kConnecting;

  boost::asio::ip::tcp::resolver resolver_;
  Transport transport_;
  boost::asio::steady_timer timer_;
  boost::asio::steady_timer session_timer_;  // until the broker wants to be told again who we are
  bool timer_is_set_ = false;
  std::chrono::steady_clock::time_point greeting_since_;  // or connecting

  wire::ApiVersionsResponse versions_;
  std::unique_ptr<SaslClient> sasl_;  // while it greets
  bool was_ready_ = false;
  bool answered_any_ = false;    // requests of ours, after it was ready
  bool greeting_waits_ = false;  // at the front of the queue
  std::int32_t next_correlation_id_ = 1;
  std::deque<Request> queued_;
  std::deque<Request> in_flight_;
  std::vector<std::string> writing_;

  std::array<char, 65536> read_buffer_;
  std::string received_;  // the beginning of a frame, and whatever follows
};

}  // namespace assent::kafka
