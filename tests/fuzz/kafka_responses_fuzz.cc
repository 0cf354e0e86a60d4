// Every answer of a Kafka broker that this client reads, by the function that Connection reads them with.
// An input: the API key (1 byte), the version of the request (1 byte), and what follows the correlation id.
#include <boost/pfr/core.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/check.h"
#include "tests/fuzz/allocations.h"
#include "tests/fuzz/kafka_messages.h"

namespace assent::kafka {
namespace {

// Elements of 6 bytes and more on the wire take up to 64, in vectors that double; a mechanism of SaslHandshake, which
// is a std::string, needs only 2.
constexpr std::size_t kMostAllocatedPerByte = 32;
constexpr std::size_t kMostAllocatedPerByteOfSaslHandshake = 80;
constexpr std::size_t kMostAllocatedBesides = 4096;

volatile std::uint64_t touched;

// Reads every value, so that a sanitizer sees those that are none.
template <typename Value>
void Touch(const Value& value) {
  if constexpr (std::is_arithmetic_v<Value>) {
    touched = touched + static_cast<std::uint64_t>(value);
  } else if constexpr (std::is_same_v<Value, std::string>) {
    for (const char c : value) Touch(c);
  } else if constexpr (requires { value.begin(); }) {
    for (const auto& element : value) Touch(element);
  } else if constexpr (requires { value.has_value(); }) {
    if (value) Touch(*value);
  } else {
    boost::pfr::for_each_field(value, [](const auto& field) { Touch(field); });
  }
}

void DecodeAndTouch(wire::ApiKey key, std::int16_t version, std::string_view body) {
  VisitRequest(key, [&](const auto& request) {
    using Request = std::decay_t<decltype(request)>;
    const Allocations allocations;
    const auto answer = wire::DecodeAnswer<Request>(body, version);
    const std::size_t per_byte =
        key == wire::ApiKey::kSaslHandshake ? kMostAllocatedPerByteOfSaslHandshake : kMostAllocatedPerByte;
    ASSENT_CHECK(allocations.bytes() <= per_byte * body.size() + kMostAllocatedBesides,
                 "an answer took more memory than its size explains");
    if (answer.ok()) {
      Touch(*answer);
    } else {
      ASSENT_CHECK(!answer.status().message().empty(), "an answer is refused without a word");
    }
  });
}

}  // namespace
}  // namespace assent::kafka

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::string_view body(reinterpret_cast<const char*>(data) + 2, size - 2);
  assent::kafka::DecodeAndTouch(assent::kafka::wire::ApiKey{data[0]}, data[1], body);
  return 0;
}
