#pragma once

#include <string>

namespace assent {

// A certificate and its private key, in PEM form.
struct TestCertificate {
  std::string certificate;
  std::string key;
};

// An authority that tests believe in: makes itself and the certificates that it signs, valid for an hour.
class TestAuthority {
 public:
  explicit TestAuthority(const std::string& name);

  const std::string& certificate() const { return self_.certificate; }
  // For a server or client of that name; a server's is also good for 127.0.0.1.
  // Negative: it has expired so many seconds ago.
  TestCertificate Sign(const std::string& name, int valid_seconds = 3600) const;

 private:
  TestCertificate self_;
};

}  // namespace assent
