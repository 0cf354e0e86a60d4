#include "participants/kafka/transport.h"

#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>

#include "absl/strings/str_cat.h"

namespace assent::kafka {

namespace ssl = boost::asio::ssl;
using boost::system::error_code;

Transport::Transport(boost::asio::io_context& loop, const Security& security, std::string host)
    : host_(std::move(host)), context_(security.tls), socket_(loop) {
  if (context_ == nullptr) return;
  tls_.emplace(socket_, *context_);
  tls_->set_verify_callback(ssl::host_name_verification(host_));
  error_code not_an_address;
  boost::asio::ip::make_address(host_, not_an_address);
  // Servers with several names choose their certificate by it; addresses must not stand in it.
  if (not_an_address) SSL_set_tlsext_host_name(tls_->native_handle(), host_.c_str());
}

std::string Transport::WhyNoTls(const error_code& error) {
  const long verified = SSL_get_verify_result(tls_->native_handle());
  const int reason = error.category() == boost::asio::error::get_ssl_category() ? ERR_GET_REASON(error.value()) : 0;
  if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED) {
    // What our own check of the name refuses has no reason of its own.
    const bool chain_is_good = verified == X509_V_OK || verified == X509_V_ERR_UNSPECIFIED;
    return chain_is_good
               ? absl::StrCat("the broker's certificate does not name \"", host_,
                              "\", by which it is connected to: see advertised.listeners and the certificate")
               : absl::StrCat("the broker's certificate is not believed: ", X509_verify_cert_error_string(verified),
                              ": see tls_ca");
  }
  // A broker takes our first message for a request that is too long, and closes the connection.
  if (reason == SSL_R_WRONG_VERSION_NUMBER || error == ssl::error::stream_truncated ||
      error == boost::asio::error::eof || error == boost::asio::error::connection_reset) {
    return "the broker does not speak TLS on this port: see tls and bootstrap_servers";
  }
  return absl::StrCat("TLS failed: ", error.message());
}

void Transport::Close() {
  error_code ignored;
  socket_.close(ignored);
}

}  // namespace assent::kafka
