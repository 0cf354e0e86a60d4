#include "base/crc32c.h"

#include <isa-l/crc.h>

namespace assent {

std::uint32_t Crc32c(std::string_view bytes, std::uint32_t before) {
  // The library reads only, and takes neither const nor the inversions of the RFC.
  auto* data = reinterpret_cast<unsigned char*>(const_cast<char*>(bytes.data()));
  return ~crc32_iscsi(data, static_cast<int>(bytes.size()), ~before);
}

}  // namespace assent
