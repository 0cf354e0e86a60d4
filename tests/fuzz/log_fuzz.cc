// What the decision log reads back from its disk: RocksDB's record files, and the values that stand in them.
// An input: how to read (1 byte), and a file. Its low bits say how much of our groups' trailer its records end with;
// with the highest bit the file gets the checksums that it ought to have, which no fuzzer finds by itself. Each record
// that is found, and the file itself, is decoded as every kind of value.
#include <google/protobuf/stubs/logging.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "coordinator/log/log_format.h"
#include "coordinator/log/record_file.h"
#include "tests/fuzz/allocations.h"

namespace assent {
namespace {

// Of reading the file alone. Protobuf has a bound of its own: it takes a length's word for up to 50 MB.
constexpr std::size_t kMostAllocatedPerByte = 16;
constexpr std::size_t kMostAllocatedBesides = 4096;

void DecodeValue(std::string_view value) {
  if (const auto number = log_format::DecodeUint64(value)) {
    ASSENT_CHECK(log_format::EncodeUint64(*number) == value, "a number is not what was read");
  }
  if (const auto group = log_format::DecodeGroup(value)) {
    ASSENT_CHECK(log_format::EncodeGroup(*group) == value, "a group is not what was read");
  }
  if (const auto outcome = log_format::DecodeOutcome(value)) {
    const std::string again = log_format::EncodeOutcome(outcome->decided_at_uptime_us, outcome->decision);
    ASSENT_CHECK(log_format::DecodeOutcome(again).has_value(), "an outcome that was read cannot be written");
  }
}

std::string WithChecksums(std::string file) {
  constexpr std::size_t kBlock = 32768;
  constexpr std::size_t kHeader = 7;  // masked CRC-32C of what stands behind the length; length; type
  for (std::size_t at = 0; at + kHeader <= file.size();) {
    const std::size_t length = static_cast<unsigned char>(file[at + 4]) |
                               static_cast<std::size_t>(static_cast<unsigned char>(file[at + 5])) << 8;
    const std::size_t room = std::min(file.size() - at, kBlock - at % kBlock);
    if (room < kHeader + length) break;
    const std::uint32_t crc = Crc32c(std::string_view(file).substr(at + kHeader - 1, 1 + length));
    const std::uint32_t masked = (crc >> 15 | crc << 17) + 0xa282ead8u;
    for (int i = 0; i < 4; ++i) file[at + i] = static_cast<char>(masked >> 8 * i);
    at += kHeader + length;
    if (kBlock - at % kBlock < kHeader) at += kBlock - at % kBlock;
  }
  return file;
}

void ReadAll(std::string_view file, std::string_view trailer) {
  {
    const Allocations allocations;
    const auto end = ReadRecordFile(file, trailer, [](std::string_view) { return absl::OkStatus(); });
    ASSENT_CHECK(allocations.bytes() <= kMostAllocatedPerByte * file.size() + kMostAllocatedBesides,
                 "a file took more memory than its size explains");
    ASSENT_CHECK(end.ok(), "whatever a file holds, it can be read");
    ASSENT_CHECK(end->size == file.size() && end->sound_size <= end->size, "a file ends where it does not");
    ASSENT_CHECK((end->kind == RecordFileEnd::Kind::kDamaged) != end->what.empty(), "damage has a description");
  }
  ASSENT_CHECK(ReadRecordFile(file, trailer,
                              [](std::string_view record) {
                                DecodeValue(record);
                                return absl::OkStatus();
                              })
                   .ok(),
               "a file that was read can be read again");
  DecodeValue(file);
}

}  // namespace
}  // namespace assent

// Protobuf would have a word to say of most inputs.
extern "C" int LLVMFuzzerInitialize(int*, char***) {
  google::protobuf::SetLogHandler(nullptr);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::string file(reinterpret_cast<const char*>(data) + 1, size - 1);
  if ((data[0] & 0x80) != 0) file = assent::WithChecksums(std::move(file));
  const std::string_view trailer = assent::log_format::kGroupTrailer;
  assent::ReadAll(file, trailer.substr(trailer.size() - (data[0] & 0x7f) % (trailer.size() + 1)));
  return 0;
}
