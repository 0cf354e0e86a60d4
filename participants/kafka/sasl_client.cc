#include "participants/kafka/sasl_client.h"

#include <sasl/sasl.h>

#include <array>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace assent::kafka {
namespace {

// A server says how often SCRAM hashes the password. Kafka takes 16384 at most for its own; the library would hash as
// often as any number says, and hold up every transaction of the shard meanwhile.
constexpr std::uint64_t kMostScramIterations = 100'000;

// In the server's first message, "r=…,s=…,i=4096"; other messages have none.
std::uint64_t ScramIterations(std::string_view from_server) {
  const std::size_t at = from_server.find(",i=");
  if (at == std::string_view::npos) return 0;
  std::string_view digits = from_server.substr(at + 3);
  digits = digits.substr(0, digits.find(','));
  std::uint64_t iterations = 0;
  // What is no number the library refuses.
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), iterations);
  return error == std::errc::result_out_of_range ? UINT64_MAX : iterations;
}

// The library writes to the system's log otherwise.
int DropLog(void*, int, const char*) { return SASL_OK; }

// As the library keeps functions of every type.
template <typename Function>
int (*AsCallback(Function* function))() {
  return reinterpret_cast<int (*)()>(reinterpret_cast<void (*)()>(function));
}

class CyrusClient final : public SaslClient {
 public:
  CyrusClient(std::string mechanism, std::string user, std::string password)
      : mechanism_(std::move(mechanism)),
        user_(std::move(user)),
        secret_(static_cast<sasl_secret_t*>(std::malloc(sizeof(sasl_secret_t) + password.size())), &std::free),
        callbacks_({{{SASL_CB_AUTHNAME, AsCallback(&GiveName), this},
                     {SASL_CB_USER, AsCallback(&GiveName), this},
                     {SASL_CB_PASS, AsCallback(&GivePassword), this},
                     {SASL_CB_LOG, AsCallback(&DropLog), nullptr},
                     {SASL_CB_LIST_END, nullptr, nullptr}}}) {
    secret_->len = password.size();
    std::memcpy(secret_->data, password.data(), password.size());
  }
  ~CyrusClient() override {
    if (connection_ != nullptr) sasl_dispose(&connection_);
  }

  absl::Status Open(const std::string& host) {
    static const int initialised = sasl_client_init(nullptr);
    if (initialised != SASL_OK) return Failure(initialised);
    return Check(sasl_client_new("kafka", host.c_str(), nullptr, nullptr, callbacks_.data(), 0, &connection_));
  }

  absl::StatusOr<std::string> Start() override {
    const char* out = nullptr;
    unsigned length = 0;
    const char* chosen = nullptr;
    const int code = sasl_client_start(connection_, mechanism_.c_str(), nullptr, &out, &length, &chosen);
    return Said(code, out, length);
  }

  absl::StatusOr<std::string> Step(std::string_view from_server) override {
    if (done_ && from_server.empty()) return std::string();
    if (const std::uint64_t iterations = ScramIterations(from_server); iterations > kMostScramIterations) {
      return absl::UnauthenticatedError(absl::StrCat("SASL ", mechanism_, ": the server wants the password hashed ",
                                                     iterations, " times; up to ", kMostScramIterations, " are done"));
    }
    const char* out = nullptr;
    unsigned length = 0;
    const int code = sasl_client_step(connection_, from_server.data(), static_cast<unsigned>(from_server.size()),
                                      nullptr, &out, &length);
    return Said(code, out, length);
  }

  bool done() const override { return done_; }

 private:
  static int GiveName(void* self, int, const char** result, unsigned* length) {
    const std::string& user = static_cast<CyrusClient*>(self)->user_;
    *result = user.c_str();
    if (length != nullptr) *length = static_cast<unsigned>(user.size());
    return SASL_OK;
  }
  static int GivePassword(sasl_conn_t*, void* self, int, sasl_secret_t** secret) {
    *secret = static_cast<CyrusClient*>(self)->secret_.get();
    return SASL_OK;
  }

  absl::StatusOr<std::string> Said(int code, const char* out, unsigned length) {
    if (code != SASL_OK && code != SASL_CONTINUE) return Failure(code);
    done_ = code == SASL_OK;
    return std::string(out == nullptr ? "" : out, out == nullptr ? 0 : length);
  }
  absl::Status Check(int code) const { return code == SASL_OK ? absl::OkStatus() : Failure(code); }
  absl::Status Failure(int code) const {
    const char* const detail =
        connection_ == nullptr ? sasl_errstring(code, nullptr, nullptr) : sasl_errdetail(connection_);
    const std::string text = absl::StrCat("SASL ", mechanism_, ": ", detail);
    if (code == SASL_NOMECH) return absl::InternalError(absl::StrCat(text, " (Debian: install libsasl2-modules)"));
    return absl::UnauthenticatedError(text);
  }

  const std::string mechanism_;
  const std::string user_;
  const std::unique_ptr<sasl_secret_t, decltype(&std::free)> secret_;
  const std::array<sasl_callback_t, 5> callbacks_;
  sasl_conn_t* connection_ = nullptr;
  bool done_ = false;
};

}  // namespace

bool IsSaslMechanism(std::string_view name) {
  return name == "PLAIN" || name == "SCRAM-SHA-256" || name == "SCRAM-SHA-512";
}

absl::StatusOr<std::unique_ptr<SaslClient>> SaslClient::Make(const std::string& mechanism, const std::string& host,
                                                             std::string user, std::string password) {
  auto client = std::make_unique<CyrusClient>(mechanism, std::move(user), std::move(password));
  if (const absl::Status opened = client->Open(host); !opened.ok()) return opened;
  return client;
}

}  // namespace assent::kafka
