#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace assent {

// The files of TLS, in PEM form. All empty: no TLS.
struct TlsFiles {
  std::string certificate;  // of the server, with its chain
  std::string key;
  std::string client_ca;  // not empty: clients must show a certificate that this authority signed

  bool enabled() const { return !certificate.empty(); }
};

// What they hold.
struct TlsPems {
  std::string certificate;
  std::string key;
  std::string client_ca;  // empty: callers need no certificate
};

// INVALID_ARGUMENT, with the option and the file, where one cannot be read as PEM, or the key is not the certificate's.
absl::StatusOr<TlsPems> ReadTlsFiles(const TlsFiles& files);

}  // namespace assent
