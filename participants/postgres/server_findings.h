#pragma once

#include <cstdint>
#include <vector>

#include "assent/v1/types.pb.h"
#include "participants/postgres/connection.h"

namespace assent::postgres {

// What a server's settings endanger, each with what to change; the worst first. Their subject is left empty.
std::vector<v1::Finding> FindingsOf(const ServerSettings& settings);

// What its room for prepared transactions endangers: `prepared` of `limit` are taken, by anybody; this coordinator has
// up to `max_connections` branches at work at once.
std::vector<v1::Finding> FindingsOfRoom(std::int64_t limit, std::int64_t prepared, std::uint32_t max_connections);

}  // namespace assent::postgres
