#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace assent::kafka_branch {

using Clock = std::chrono::steady_clock;

// One cell of the table, as run.py tells it to the process that measures it: `name=value` arguments.
struct Cell {
  std::string server;  // host:port of the broker
  pid_t broker_pid = 0;
  std::string topic;
  int partitions = 0;  // of the topic
  int in_flight = 0;   // transactions at a time: the next begins when one has committed
  int records = 0;     // of a transaction
  int value_bytes = 0;
  std::chrono::milliseconds warm_up{};
  std::chrono::milliseconds measured{};
  std::string samples;  // file for the latencies, as int64 in nanoseconds
};

Cell ParseCell(int argc, char** argv);

// The same records for every client: numbered through the cell, each key the number, spread evenly over the partitions.
// So a reader can tell whether exactly those are there that were committed.
struct CellRecord {
  std::string key;
  std::int32_t partition = 0;
};
CellRecord RecordOf(const Cell& cell, std::int64_t transaction, int record);

// An id that no other process has.
std::string RandomName();

// Ends the process: the figure would be none.
[[noreturn]] void GiveUp(const std::string& why);

// When a transaction committed, and how long it had taken.
struct Sample {
  Clock::time_point committed;
  Clock::duration latency;
};

// Cuts the measured time out of a running load: after the warm-up, and before the load ends. What process and broker
// use is read at both ends.
//
// Not thread-safe: one thread calls it, the others append to samples of their own.
class Window {
 public:
  // The client is ready; the warm-up begins.
  explicit Window(const Cell& cell);

  // Reads what is due now. False: it is over, and no transaction shall begin any more.
  bool Continues(Clock::time_point now);

  // When Continues() has something to do next.
  Clock::time_point next() const { return begin_ ? ends_ : begins_; }

  // After the last transaction: writes the samples of the window, and one line of JSON about it.
  void Report(const std::vector<Sample>& samples) const;

 private:
  struct Usage {
    Clock::time_point at;
    double client_cpu_s = 0;
    double broker_cpu_s = 0;
  };

  Usage Read(Clock::time_point now) const;

  const Cell cell_;
  const Clock::time_point begins_;
  const Clock::time_point ends_;
  std::optional<Usage> begin_;
  std::optional<Usage> end_;
  int threads_ = 0;
};

}  // namespace assent::kafka_branch
