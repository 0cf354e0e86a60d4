#include "participants/kafka/connection.h"

#include <algorithm>
#include <boost/asio/connect.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "participants/kafka/error_codes.h"

namespace assent::kafka {
namespace {

using Clock = std::chrono::steady_clock;
using boost::asio::ip::tcp;
using boost::system::error_code;

// A broker says nothing else to a client that it does not understand, or that has not said who it is.
constexpr char kClosedAtOnce[] =
    "the broker closed the connection before it had answered anything: does it want TLS, or SASL, on this port? (tls, "
    "sasl_mechanism)";

// A broker may say any number: one that a clock cannot hold, too.
constexpr std::chrono::milliseconds kLongestSession = std::chrono::hours(365 * 24);

std::int32_t ReadInt32(std::string_view bytes) { return wire::Decoder(bytes).Int32(); }

}  // namespace

Connection::Connection(boost::asio::io_context& loop, const KafkaOptions& options, const Security& security,
                       std::string client_id, Address address, Events events)
    : loop_(loop),
      options_(options),
      security_(security),
      client_id_(std::move(client_id)),
      address_(std::move(address)),
      events_(std::move(events)),
      resolver_(loop),
      transport_(loop, security_, address_.host),
      timer_(loop),
      session_timer_(loop),
      greeting_since_(Clock::now()) {}

// ---- Connecting -----------------------------------------------------------------------------------------------------

void Connection::Connect() {
  WatchTime();
  resolver_.async_resolve(
      address_.host, address_.port,
      [self = shared_from_this()](const error_code& error, const tcp::resolver::results_type& endpoints) {
        if (self->failed()) return;
        if (error) return self->Fail(absl::StrCat("the name cannot be resolved: ", error.message()));
        boost::asio::async_connect(self->transport_.socket(), endpoints,
                                   [self](const error_code& connect_error, const tcp::endpoint&) {
                                     if (self->failed()) return;
                                     if (connect_error) return self->Fail(connect_error.message());
                                     self->BeginTls();
                                   });
      });
}

void Connection::BeginTls() {
  error_code ignored;
  transport_.socket().set_option(tcp::no_delay(true), ignored);
  transport_.Handshake([self = shared_from_this()](const error_code& error, const std::string& why) {
    if (self->failed()) return;
    if (error) return self->Fail(why);
    self->state_ = State::kGreeting;
    self->Read();
    self->Greet();
  });
}

// Asks for the versions before anything else: what the broker cannot do is then known before it is asked for.
void Connection::Greet() {
  SendFirst(wire::ApiVersionsRequest{.software_name = "assent", .software_version = "0.1.0"},
            [this](const wire::ApiVersionsResponse& versions) {
              if (versions.error_code != 0) {
                return Fail(absl::StrCat("the broker answers ApiVersions with Kafka error ", versions.error_code,
                                         "; Kafka 3.0 or later is needed"));
              }
              versions_ = versions;
              security_.sasl_mechanism.empty() ? BeReady() : Authenticate();
            });
}

void Connection::BeReady() {
  state_ = State::kReady;
  if (!std::exchange(was_ready_, true)) events_.ready(versions_);
  if (!failed()) Flush();
}

// ---- Saying who we are ----------------------------------------------------------------------------------------------

void Connection::Authenticate() {
  auto password = ReadPassword(options_);
  if (!password.ok()) return Fail(std::string(password.status().message()));
  auto sasl = SaslClient::Make(security_.sasl_mechanism, address_.host, security_.user, *std::move(password));
  if (!sasl.ok()) return Fail(std::string(sasl.status().message()));
  sasl_ = *std::move(sasl);
  SendFirst(wire::SaslHandshakeRequest{.mechanism = security_.sasl_mechanism},
            [this](const wire::SaslHandshakeResponse& answer) {
              if (answer.error_code != error::kNone) {
                return Fail(absl::StrCat("the broker does not take sasl_mechanism = ", security_.sasl_mechanism,
                                         " on this port; it offers: ", absl::StrJoin(answer.mechanisms, ", "),
                                         " (Kafka error ", answer.error_code, ")"));
              }
              const auto first = sasl_->Start();
              first.ok() ? SayWho(*first) : Fail(std::string(first.status().message()));
            });
}

void Connection::SayWho(const std::string& bytes) {
  SendFirst(wire::SaslAuthenticateRequest{.bytes = bytes},
            [this](const wire::SaslAuthenticateResponse& answer) { HearBack(answer); });
}

void Connection::HearBack(const wire::SaslAuthenticateResponse& answer) {
  if (answer.error_code != error::kNone) {
    return Fail(absl::StrCat("the broker refuses sasl_user = ", security_.user, " by ", security_.sasl_mechanism, ": ",
                             answer.error_message, " (Kafka error ", answer.error_code, "): see sasl_user and ",
                             options_.sasl_password_env.empty() ? "sasl_password_file" : "sasl_password_env"));
  }
  const auto next = sasl_->Step(answer.bytes);
  if (!next.ok()) return Fail(absl::StrCat("the broker did not prove itself: ", std::string(next.status().message())));
  if (!sasl_->done() || !next->empty()) return SayWho(*next);
  sasl_.reset();
  if (answer.session_lifetime_ms > 0) {
    // Well before it ends: the broker closes a connection that goes on beyond it.
    const auto lifetime = std::min(std::chrono::milliseconds(answer.session_lifetime_ms), kLongestSession);
    session_timer_.expires_after(lifetime * 4 / 5);
    session_timer_.async_wait([self = shared_from_this()](const error_code& error) {
      if (error || self->failed()) return;
      self->state_ = State::kGreeting;
      self->greeting_since_ = Clock::now();
      self->Authenticate();
    });
  }
  BeReady();
}

// Requests wait behind it, with numbers given before: only the order of sending has to be that of the answers.
template <typename First>
void Connection::SendFirst(const First& request, std::function<void(const typename First::Response&)> done) {
  auto answered = [done = std::move(done)](Answer<typename First::Response> answer) {
    if (answer.delivery == Delivery::kAnswered) done(answer.response);  // otherwise Fail() has said so, or will
  };
  const std::int32_t correlation_id = TakeCorrelationId();
  Request first{.key = First::kKey,
                .correlation_id = correlation_id,
                .frame = wire::EncodeFrame(request, correlation_id, client_id_),
                .done = Decoding<First>(wire::VersionOf(request), std::move(answered))};
  queued_.push_front(std::move(first));
  greeting_waits_ = true;
  Flush();
}

// ---- Sending --------------------------------------------------------------------------------------------------------

std::int32_t Connection::TakeCorrelationId() {
  return std::exchange(next_correlation_id_, next_correlation_id_ == INT32_MAX ? 1 : next_correlation_id_ + 1);
}

void Connection::Send(wire::ApiKey key, std::string frame, RawDone done) {
  const std::int32_t correlation_id = TakeCorrelationId();
  if (failed()) {
    done(Delivery::kNotSent, "the connection has ended").IgnoreError();
    return;
  }
  if (queued_.size() >= options_.max_queued_requests) {
    done(Delivery::kNotSent,
         absl::StrCat("max_queued_requests = ", options_.max_queued_requests, " requests wait for the broker already"))
        .IgnoreError();
    return;
  }
  queued_.push_back({.key = key, .correlation_id = correlation_id, .frame = std::move(frame), .done = std::move(done)});
  if (ready()) Flush();
}

void Connection::Flush() {
  if (!writing_.empty()) return;
  const Clock::time_point now = Clock::now();
  while (!queued_.empty() && in_flight_.size() < options_.max_in_flight) {
    // Nothing is sent behind a greeting before it is answered.
    if (!ready() && !std::exchange(greeting_waits_, false)) break;
    Request& request = queued_.front();
    writing_.push_back(std::move(request.frame));
    request.sent_at = now;
    in_flight_.push_back(std::move(request));
    queued_.pop_front();
  }
  if (writing_.empty()) return;
  WatchTime();
  std::vector<boost::asio::const_buffer> buffers;
  buffers.reserve(writing_.size());
  for (const std::string& frame : writing_) buffers.push_back(boost::asio::buffer(frame));
  transport_.Write(buffers, [self = shared_from_this()](const error_code& error, std::size_t) {
    if (self->failed()) return;
    if (error) return self->Fail(error.message());
    self->writing_.clear();
    self->Flush();
  });
}

// ---- Receiving ------------------------------------------------------------------------------------------------------

void Connection::Read() {
  transport_.ReadSome(boost::asio::buffer(read_buffer_),
                      [self = shared_from_this()](const error_code& error, std::size_t bytes) {
                        if (self->failed()) return;
                        if (error) return self->Fail(self->WhyEnded(error));
                        self->received_.append(self->read_buffer_.data(), bytes);
                        self->TakeFrames();
                        if (!self->failed()) self->Read();
                      });
}

std::string Connection::WhyEnded(const error_code& error) const {
  if (error.category() == boost::asio::error::get_ssl_category()) {
    // With TLS 1.3 the broker looks at our certificate when we believe to be connected.
    return absl::StrCat("TLS ended: ", error.message(), ": see tls_certificate and tls_key");
  }
  if (error != boost::asio::error::eof && error != boost::asio::ssl::error::stream_truncated) return error.message();
  return answered_any_ ? "the broker closed the connection" : kClosedAtOnce;
}

void Connection::TakeFrames() {
  std::size_t taken = 0;
  while (received_.size() - taken >= 4) {
    const std::string_view rest = std::string_view(received_).substr(taken);
    const std::int32_t length = ReadInt32(rest);
    if (length < 4 || static_cast<std::size_t>(length) > options_.max_response_bytes) {
      const bool is_tls_alert = (static_cast<std::uint32_t>(length) >> 24) == 0x15 && !answered_any_;
      if (is_tls_alert) return Fail("the broker speaks TLS on this port: see tls");
      return Fail(absl::StrCat("the broker sent an answer of ", length, " bytes; between 4 and max_response_bytes = ",
                               options_.max_response_bytes, " are taken"));
    }
    if (rest.size() - 4 < static_cast<std::size_t>(length)) break;
    if (!TakeFrame(rest.substr(4, length))) return;
    taken += 4 + static_cast<std::size_t>(length);
  }
  received_.erase(0, taken);
  if (!queued_.empty()) Flush();
}

// False: the connection has ended.
bool Connection::TakeFrame(std::string_view frame) {
  const std::int32_t correlation_id = ReadInt32(frame);
  if (in_flight_.empty() || in_flight_.front().correlation_id != correlation_id) {
    Fail(absl::StrCat("the broker sent an answer to request ", correlation_id, ", which is not the oldest open one"));
    return false;
  }
  Request request = std::move(in_flight_.front());
  in_flight_.pop_front();
  answered_any_ = answered_any_ || was_ready_;
  if (const absl::Status understood = request.done(Delivery::kAnswered, frame.substr(4)); !understood.ok()) {
    in_flight_.push_front(std::move(request));  // one of those that get no answer
    Fail(std::string(understood.message()));
  }
  return !failed();
}

// ---- Time -----------------------------------------------------------------------------------------------------------

// Answers come in order, so only the oldest request can be the first that is late.
void Connection::WatchTime() {
  if (timer_is_set_) return;
  const Clock::time_point due = ready() && !in_flight_.empty()
                                    ? in_flight_.front().sent_at + absl::ToChronoMilliseconds(options_.request_timeout)
                                    : greeting_since_ + absl::ToChronoMilliseconds(options_.connect_timeout);
  timer_is_set_ = true;
  timer_.expires_at(due);
  timer_.async_wait([self = shared_from_this()](const error_code& error) {
    self->timer_is_set_ = false;
    if (!error && !self->failed()) self->CheckTime();
  });
}

void Connection::CheckTime() {
  const Clock::time_point now = Clock::now();
  if (!ready()) {
    if (now - greeting_since_ >= absl::ToChronoMilliseconds(options_.connect_timeout)) {
      return Fail(
          absl::StrCat("not connected within connect_timeout = ", absl::FormatDuration(options_.connect_timeout)));
    }
    return WatchTime();
  }
  if (in_flight_.empty()) return;  // the next request sets the timer
  if (now - in_flight_.front().sent_at >= absl::ToChronoMilliseconds(options_.request_timeout)) {
    const std::string why = absl::StrCat("no answer to ", std::string(wire::Name(in_flight_.front().key)),
                                         " within request_timeout = ", absl::FormatDuration(options_.request_timeout));
    const auto silent = std::exchange(events_.silent, nullptr);
    Fail(why);
    if (silent) silent(why);
    return;
  }
  WatchTime();
}

// ---- Ending ---------------------------------------------------------------------------------------------------------

void Connection::Fail(const std::string& why) {
  if (failed()) return;
  const auto self = shared_from_this();
  auto queued = std::exchange(queued_, {});
  auto in_flight = std::exchange(in_flight_, {});
  const auto events = std::exchange(events_, {});
  Close();
  const std::string message = absl::StrCat("broker ", address_.ToString(), ": ", why);
  // The owner first: what completes may send again, and must not come back here.
  if (events.failed) events.failed(message);
  for (Request& request : in_flight) request.done(Delivery::kLost, message).IgnoreError();
  for (Request& request : queued) request.done(Delivery::kNotSent, message).IgnoreError();
}

void Connection::Close() {
  state_ = State::kFailed;
  events_ = {};
  queued_.clear();
  in_flight_.clear();
  transport_.Close();
  resolver_.cancel();
  timer_.cancel();
  session_timer_.cancel();
}

}  // namespace assent::kafka
