#pragma once

#include <gtest/gtest.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "participants/kafka/wire/api.h"

namespace assent::kafka {

// Requests and their answers, one after the other.
class Conversation {
 public:
  explicit Conversation(const std::string& server) : socket_(loop_) {
    const std::size_t colon = server.rfind(':');
    boost::asio::connect(
        socket_, boost::asio::ip::tcp::resolver(loop_).resolve(server.substr(0, colon), server.substr(colon + 1)));
    socket_.set_option(boost::asio::ip::tcp::no_delay(true));
  }

  template <typename Request>
  typename Request::Response Ask(const Request& request) {
    boost::asio::write(socket_, boost::asio::buffer(wire::EncodeFrame(request, 1, "judge")));
    std::string length(4, '\0');
    boost::asio::read(socket_, boost::asio::buffer(length));
    std::string frame(static_cast<std::size_t>(wire::Decoder(length).Int32()), '\0');
    boost::asio::read(socket_, boost::asio::buffer(frame));
    auto answer = wire::DecodeAnswer<Request>(std::string_view(frame).substr(4), wire::VersionOf(request));
    EXPECT_TRUE(answer.ok()) << answer.status();
    return answer.ok() ? *std::move(answer) : typename Request::Response{};
  }

 private:
  boost::asio::io_context loop_;
  boost::asio::ip::tcp::socket socket_;
};

}  // namespace assent::kafka
