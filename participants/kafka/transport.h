#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>
#include <optional>
#include <string>
#include <utility>

#include "participants/kafka/security.h"

namespace assent::kafka {

// The bytes of one connection, in the clear or by TLS. Owned by a Connection; one thread.
class Transport {
 public:
  // `host` is the name that the broker's certificate must bear.
  Transport(boost::asio::io_context& loop, const Security& security, std::string host);

  boost::asio::ip::tcp::socket& socket() { return socket_; }

  // After the socket is connected. `done` gets an error and, where TLS failed, what to look at.
  template <typename Done>
  void Handshake(Done done) {
    if (!tls_) return done(boost::system::error_code(), std::string());
    tls_->async_handshake(boost::asio::ssl::stream_base::client,
                          [this, done = std::move(done)](const boost::system::error_code& error) mutable {
                            done(error, error ? WhyNoTls(error) : std::string());
                          });
  }

  template <typename Buffers, typename Done>
  void Write(const Buffers& buffers, Done done) {
    if (tls_) return boost::asio::async_write(*tls_, buffers, std::move(done));
    boost::asio::async_write(socket_, buffers, std::move(done));
  }

  template <typename Buffer, typename Done>
  void ReadSome(const Buffer& buffer, Done done) {
    if (tls_) return tls_->async_read_some(buffer, std::move(done));
    socket_.async_read_some(buffer, std::move(done));
  }

  void Close();

 private:
  std::string WhyNoTls(const boost::system::error_code& error);

  const std::string host_;
  const std::shared_ptr<boost::asio::ssl::context> context_;
  boost::asio::ip::tcp::socket socket_;
  std::optional<boost::asio::ssl::stream<boost::asio::ip::tcp::socket&>> tls_;
};

}  // namespace assent::kafka
