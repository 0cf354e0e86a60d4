#pragma once

#include <cstdint>
#include <string_view>

namespace assent {

// CRC-32C (Castagnoli), as in RFC 3720: of "123456789" it is 0xe3069283. `before` is that of the bytes in front.
std::uint32_t Crc32c(std::string_view bytes, std::uint32_t before = 0);

}  // namespace assent
