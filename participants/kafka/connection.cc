#include "participants/kafka/connection.h"

#include <boost/asio/connect.hpp>
#include <boost/asio/write.hpp>
#include <utility>

#include "absl/strings/str_cat.h"

namespace assent::kafka {
namespace {

using Clock = std::chrono::steady_clock;
using boost::asio::ip::tcp;
using boost::system::error_code;

std::int32_t ReadInt32(std::string_view bytes) { return wire::Decoder(bytes).Int32(); }

}  // namespace

Connection::Connection(boost::asio::io_context& loop, const KafkaOptions& options, std::string client_id,
                       Address address, Events events)
    : loop_(loop),
      options_(options),
      client_id_(std::move(client_id)),
      address_(std::move(address)),
      events_(std::move(events)),
      resolver_(loop),
      socket_(loop),
      timer_(loop),
      created_at_(Clock::now()) {}

// ---- Connecting -----------------------------------------------------------------------------------------------------

void Connection::Connect() {
  WatchTime();
  resolver_.async_resolve(
      address_.host, address_.port,
      [self = shared_from_this()](const error_code& error, const tcp::resolver::results_type& endpoints) {
        if (self->failed()) return;
        if (error) return self->Fail(absl::StrCat("the name cannot be resolved: ", error.message()));
        boost::asio::async_connect(self->socket_, endpoints,
                                   [self](const error_code& connect_error, const tcp::endpoint&) {
                                     if (self->failed()) return;
                                     if (connect_error) return self->Fail(connect_error.message());
                                     self->Greet();
                                   });
      });
}

// Asks for the versions before anything else: what the broker cannot do is then known before it is asked for.
void Connection::Greet() {
  error_code ignored;
  socket_.set_option(tcp::no_delay(true), ignored);
  state_ = State::kGreeting;
  const wire::ApiVersionsRequest request{.software_name = "assent", .software_version = "0.1.0"};
  auto greeted = [this](Answer<wire::ApiVersionsResponse> answer) {
    if (answer.delivery != Delivery::kAnswered) return;  // Fail() has said so, or will
    if (answer.response.error_code != 0) {
      return Fail(absl::StrCat("the broker answers ApiVersions with Kafka error ", answer.response.error_code,
                               "; Kafka 2.4 or later is needed"));
    }
    state_ = State::kReady;
    events_.ready(answer.response);
    if (!failed()) Flush();
  };
  Request greeting{.key = wire::ApiKey::kApiVersions,
                   .correlation_id = next_correlation_id_,
                   .frame = wire::EncodeFrame(request, next_correlation_id_, client_id_),
                   .done = Decoding<wire::ApiVersionsRequest>(wire::ApiVersionsRequest::kVersion, std::move(greeted))};
  ++next_correlation_id_;
  // Requests wait behind it, with numbers given before: only the order of sending has to be that of the answers.
  queued_.push_front(std::move(greeting));
  Flush();
  Read();
}

// ---- Sending --------------------------------------------------------------------------------------------------------

void Connection::Send(wire::ApiKey key, std::string frame, RawDone done) {
  const std::int32_t correlation_id = next_correlation_id_;
  next_correlation_id_ = next_correlation_id_ == INT32_MAX ? 1 : next_correlation_id_ + 1;
  if (failed()) {
    done(Delivery::kNotSent, "the connection has ended");
    return;
  }
  if (queued_.size() >= options_.max_queued_requests) {
    done(Delivery::kNotSent,
         absl::StrCat("max_queued_requests = ", options_.max_queued_requests, " requests wait for the broker already"));
    return;
  }
  queued_.push_back({.key = key, .correlation_id = correlation_id, .frame = std::move(frame), .done = std::move(done)});
  if (ready()) Flush();
}

void Connection::Flush() {
  if (!writing_.empty()) return;
  const std::size_t most = state_ == State::kGreeting ? 1 : options_.max_in_flight;
  const Clock::time_point now = Clock::now();
  while (!queued_.empty() && in_flight_.size() < most) {
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
  boost::asio::async_write(socket_, buffers, [self = shared_from_this()](const error_code& error, std::size_t) {
    if (self->failed()) return;
    if (error) return self->Fail(error.message());
    self->writing_.clear();
    if (self->ready()) self->Flush();
  });
}

// ---- Receiving ------------------------------------------------------------------------------------------------------

void Connection::Read() {
  socket_.async_read_some(boost::asio::buffer(read_buffer_),
                          [self = shared_from_this()](const error_code& error, std::size_t bytes) {
                            if (self->failed()) return;
                            if (error == boost::asio::error::eof) {
                              return self->Fail("the broker closed the connection");
                            }
                            if (error) return self->Fail(error.message());
                            self->received_.append(self->read_buffer_.data(), bytes);
                            self->TakeFrames();
                            if (!self->failed()) self->Read();
                          });
}

void Connection::TakeFrames() {
  std::size_t taken = 0;
  while (received_.size() - taken >= 4) {
    const std::string_view rest = std::string_view(received_).substr(taken);
    const std::int32_t length = ReadInt32(rest);
    if (length < 4 || static_cast<std::size_t>(length) > options_.max_response_bytes) {
      return Fail(absl::StrCat("the broker sent an answer of ", length, " bytes; between 4 and max_response_bytes = ",
                               options_.max_response_bytes, " are taken"));
    }
    if (rest.size() - 4 < static_cast<std::size_t>(length)) break;
    if (!TakeFrame(rest.substr(4, length))) return;
    taken += 4 + static_cast<std::size_t>(length);
  }
  received_.erase(0, taken);
  if (!in_flight_.empty() || !queued_.empty()) {
    if (ready()) Flush();
  }
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
  const bool understood = request.done(Delivery::kAnswered, frame.substr(4));
  if (!understood && !failed()) {
    Fail(absl::StrCat("the broker's answer to ", std::string(wire::Name(request.key)), " makes no sense"));
  }
  return !failed();
}

// ---- Time -----------------------------------------------------------------------------------------------------------

// Answers come in order, so only the oldest request can be the first that is late.
void Connection::WatchTime() {
  if (timer_is_set_) return;
  const Clock::time_point due = ready() && !in_flight_.empty()
                                    ? in_flight_.front().sent_at + absl::ToChronoMilliseconds(options_.request_timeout)
                                    : created_at_ + absl::ToChronoMilliseconds(options_.connect_timeout);
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
    if (now - created_at_ >= absl::ToChronoMilliseconds(options_.connect_timeout)) {
      return Fail(
          absl::StrCat("not connected within connect_timeout = ", absl::FormatDuration(options_.connect_timeout)));
    }
    return WatchTime();
  }
  if (in_flight_.empty()) return;  // the next request sets the timer
  if (now - in_flight_.front().sent_at >= absl::ToChronoMilliseconds(options_.request_timeout)) {
    return Fail(absl::StrCat("no answer to ", std::string(wire::Name(in_flight_.front().key)),
                             " within request_timeout = ", absl::FormatDuration(options_.request_timeout)));
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
  for (Request& request : in_flight) request.done(Delivery::kLost, message);
  for (Request& request : queued) request.done(Delivery::kNotSent, message);
}

void Connection::Close() {
  state_ = State::kFailed;
  events_ = {};
  queued_.clear();
  in_flight_.clear();
  error_code ignored;
  socket_.close(ignored);
  resolver_.cancel();
  timer_.cancel();
}

}  // namespace assent::kafka
