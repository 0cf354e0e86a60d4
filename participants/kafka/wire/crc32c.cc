#include "participants/kafka/wire/crc32c.h"

#include <isa-l/crc.h>

namespace assent::kafka::wire {

std::uint32_t Crc32c(std::string_view bytes) {
  // The library only reads, though its signature does not say so, and leaves the inversions at both ends to the caller.
  auto* data = reinterpret_cast<unsigned char*>(const_cast<char*>(bytes.data()));
  return ~crc32_iscsi(data, static_cast<int>(bytes.size()), ~std::uint32_t{0});
}

}  // namespace assent::kafka::wire
