#include "coordinator/server/tls_files.h"

#include <openssl/pem.h>
#include <openssl/x509.h>

#include <fstream>
#include <memory>
#include <sstream>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace assent {
namespace {

absl::StatusOr<std::string> ReadPem(const char* option, const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file || !text || text.str().find("-----BEGIN ") == std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat(option, " = ", path, " cannot be read as a PEM file"));
  }
  return text.str();
}

template <typename Object, auto free>
struct Freeing {
  void operator()(Object* object) const { free(object); }
};

using BioPtr = std::unique_ptr<BIO, Freeing<BIO, BIO_free>>;
using X509Ptr = std::unique_ptr<X509, Freeing<X509, X509_free>>;

BioPtr Text(const std::string& pem) { return BioPtr(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()))); }

absl::StatusOr<X509Ptr> ReadCertificate(const char* option, const std::string& path, const std::string& pem) {
  X509Ptr certificate(PEM_read_bio_X509(Text(pem).get(), nullptr, nullptr, nullptr));
  if (certificate != nullptr) return certificate;
  return absl::InvalidArgumentError(absl::StrCat(option, " = ", path, " holds no certificate"));
}

// gRPC says only that it cannot start.
absl::Status CheckPair(const TlsFiles& tls, const std::string& certificate_pem, const std::string& key_pem) {
  const absl::StatusOr<X509Ptr> certificate = ReadCertificate("certificate", tls.certificate, certificate_pem);
  if (!certificate.ok()) return certificate.status();
  // An encrypted key is not asked for its password: nobody sits there.
  char no_password[] = "";
  const std::unique_ptr<EVP_PKEY, Freeing<EVP_PKEY, EVP_PKEY_free>> key(
      PEM_read_bio_PrivateKey(Text(key_pem).get(), nullptr, nullptr, no_password));
  if (key == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("key = ", tls.key, " holds no private key, or one that is encrypted"));
  }
  if (X509_check_private_key(certificate->get(), key.get()) != 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "key = ", tls.key, " does not belong to certificate = ", tls.certificate, ", or to the first one in it"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<TlsPems> ReadTlsFiles(const TlsFiles& files) {
  TlsPems pems;
  auto certificate = ReadPem("certificate", files.certificate);
  if (!certificate.ok()) return certificate.status();
  auto key = ReadPem("key", files.key);
  if (!key.ok()) return key.status();
  if (absl::Status pair = CheckPair(files, *certificate, *key); !pair.ok()) return pair;
  pems.certificate = *std::move(certificate);
  pems.key = *std::move(key);
  if (files.client_ca.empty()) return pems;
  auto authority = ReadPem("client_ca", files.client_ca);
  if (!authority.ok()) return authority.status();
  if (auto readable = ReadCertificate("client_ca", files.client_ca, *authority); !readable.ok()) {
    return readable.status();
  }
  pems.client_ca = *std::move(authority);
  return pems;
}

}  // namespace assent
