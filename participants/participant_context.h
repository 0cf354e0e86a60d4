#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>

#include "base/clock.h"
#include "base/ids.h"

namespace assent {

// Where an adapter's instance lives: everything it gets from the shard that owns it. Outlives the instance.
struct ParticipantContext {
  boost::asio::io_context& loop;  // the shard's; run by one thread
  const Clock& clock;
  CoordinatorId coordinator;
  std::uint32_t epoch = 0;        // of this process
  std::uint32_t shard = 0;        // 0 … shard_count - 1
  std::uint32_t shard_count = 1;  // bounds of a participant are for the process: each shard takes its share
};

}  // namespace assent
