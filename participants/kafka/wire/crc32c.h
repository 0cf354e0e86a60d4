#pragma once

#include <cstdint>
#include <string_view>

namespace assent::kafka::wire {

// CRC-32C (Castagnoli), the checksum of record batches: of "123456789" it is 0xe3069283.
std::uint32_t Crc32c(std::string_view bytes);

}  // namespace assent::kafka::wire
