#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "assent/client.h"
#include "tests/client/fake_coordinator.h"
#include "tests/coordinator/server/test_certificates.h"

namespace assent {
namespace {

// A coordinator that asks for client certificates, and the files of both sides.
class ClientTlsTest : public testing::Test {
 protected:
  ClientTlsTest() {
    std::string name = testing::TempDir() + "/assent_client_XXXXXX";
    folder_ = mkdtemp(name.data());
  }
  ~ClientTlsTest() override {
    for (const std::string& file : files_) unlink(file.c_str());
    rmdir(folder_.c_str());
  }

  std::shared_ptr<grpc::ServerCredentials> ServerCredentials() const {
    const TestCertificate server = authority_.Sign("assentd.example");
    grpc::SslServerCredentialsOptions options(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
    options.pem_root_certs = authority_.certificate();
    options.pem_key_cert_pairs.push_back({server.key, server.certificate});
    return grpc::SslServerCredentials(options);
  }

  std::string Write(const std::string& name, const std::string& text) {
    std::string path = folder_ + "/" + name;
    std::ofstream(path) << text;
    files_.push_back(path);
    return path;
  }

  absl::Status Begin(const FakeCoordinator& coordinator, const ClientTls* tls) {
    ClientOptions options;
    options.address = coordinator.address();
    options.default_timeout = absl::Milliseconds(100);
    options.retry.grace = absl::Milliseconds(100);
    if (tls != nullptr) options.tls = std::make_shared<ClientTls>(*tls);
    return Client(options).Begin().status();
  }

  const TestAuthority authority_{"assent tests"};
  const TestAuthority stranger_{"somebody else"};
  std::string folder_;
  std::vector<std::string> files_;
};

TEST_F(ClientTlsTest, ACertificateOpensWhatIsClosedWithoutOne) {
  FakeCoordinator coordinator(ServerCredentials());
  const TestCertificate client = authority_.Sign("a client");
  ClientTls tls{.server_ca = Write("ca.crt", authority_.certificate()),
                .certificate = Write("client.crt", client.certificate),
                .key = Write("client.key", client.key),
                .server_name = "assentd.example"};
  EXPECT_TRUE(Begin(coordinator, &tls).ok());
  EXPECT_FALSE(Begin(coordinator, nullptr).ok()) << "without TLS";
  tls.server_name = "other.example";
  EXPECT_FALSE(Begin(coordinator, &tls).ok()) << "another server than the expected one";
  tls.server_name = "assentd.example";
  tls.server_ca = Write("stranger.crt", stranger_.certificate());
  EXPECT_FALSE(Begin(coordinator, &tls).ok()) << "a server of an unknown authority";
  tls = {.server_ca = Write("ca2.crt", authority_.certificate()), .server_name = "assentd.example"};
  EXPECT_FALSE(Begin(coordinator, &tls).ok()) << "without a client certificate";
}

}  // namespace
}  // namespace assent
