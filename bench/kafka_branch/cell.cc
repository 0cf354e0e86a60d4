#include "bench/kafka_branch/cell.h"

#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <sstream>

#include "absl/strings/str_cat.h"

namespace assent::kafka_branch {
namespace {

double Seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

double OwnCpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return Seconds(usage.ru_utime) + Seconds(usage.ru_stime);
}

// utime and stime of proc(5); the second field is a name in parentheses, which may hold anything.
double CpuSecondsOf(pid_t pid) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/stat"));
  std::string line;
  std::getline(file, line);
  const std::size_t name_end = line.rfind(')');
  if (name_end == std::string::npos) GiveUp(absl::StrCat("there is no process ", pid));
  std::istringstream fields(line.substr(name_end + 1));
  std::vector<std::string> values;
  for (std::string value; fields >> value;) values.push_back(value);
  const double ticks = std::stod(values.at(11)) + std::stod(values.at(12));
  return ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
}

// Not ru_maxrss: that of the process which started this one counts in it.
long PeakMemoryKb() {
  std::ifstream file("/proc/self/status");
  for (std::string word; file >> word;) {
    long kilobytes = 0;
    if (word == "VmHWM:" && file >> kilobytes) return kilobytes;
  }
  GiveUp("/proc/self/status does not say VmHWM");
}

int CountThreads() {
  const std::filesystem::directory_iterator tasks("/proc/self/task");
  return static_cast<int>(std::distance(begin(tasks), end(tasks)));
}

}  // namespace

Cell ParseCell(int argc, char** argv) {
  std::map<std::string, std::string> given;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const std::size_t equals = argument.find('=');
    if (equals != std::string::npos) given[argument.substr(0, equals)] = argument.substr(equals + 1);
  }
  const auto text = [&](const char* name) {
    const auto found = given.find(name);
    if (found == given.end()) GiveUp(absl::StrCat(name, "=… is missing: bench/run.sh kafka-branch runs this program"));
    return found->second;
  };
  const auto number = [&](const char* name) { return std::atoi(text(name).c_str()); };
  return {.server = text("server"),
          .broker_pid = number("broker_pid"),
          .topic = text("topic"),
          .partitions = number("partitions"),
          .in_flight = number("in_flight"),
          .records = number("records"),
          .value_bytes = number("value_bytes"),
          .warm_up = std::chrono::milliseconds(number("warm_up_ms")),
          .measured = std::chrono::milliseconds(number("measured_ms")),
          .samples = text("samples")};
}

CellRecord RecordOf(const Cell& cell, std::int64_t transaction, int record) {
  const std::int64_t number = transaction * cell.records + record;
  return {.key = std::to_string(number), .partition = static_cast<std::int32_t>(number % cell.partitions)};
}

std::string RandomName() {
  std::random_device random;
  return absl::StrCat("bench-", random(), "-", random());
}

void GiveUp(const std::string& why) {
  std::fprintf(stderr, "%s\n", why.c_str());
  // Without destructors: other threads may be anywhere.
  _exit(1);
}

Window::Window(const Cell& cell) : cell_(cell), begins_(Clock::now() + cell.warm_up), ends_(begins_ + cell.measured) {}

Window::Usage Window::Read(Clock::time_point now) const {
  return {.at = now, .client_cpu_s = OwnCpuSeconds(), .broker_cpu_s = CpuSecondsOf(cell_.broker_pid)};
}

bool Window::Continues(Clock::time_point now) {
  if (!begin_ && now >= begins_) begin_ = Read(now);
  if (!end_ && now >= ends_) {
    end_ = Read(now);
    threads_ = CountThreads();
  }
  return !end_.has_value();
}

void Window::Report(const std::vector<Sample>& samples) const {
  std::ofstream out(cell_.samples, std::ios::binary);
  std::int64_t transactions = 0;
  for (const Sample& sample : samples) {
    if (sample.committed <= begin_->at || sample.committed > end_->at) continue;
    ++transactions;
    const std::int64_t latency = std::chrono::nanoseconds(sample.latency).count();
    out.write(reinterpret_cast<const char*>(&latency), sizeof(latency));
  }
  out.close();
  std::printf(
      "{\"committed\": %zu, \"transactions\": %lld, \"seconds\": %.6f, \"threads\": %d, \"client_cpu_s\": %.3f, "
      "\"broker_cpu_s\": %.3f, \"peak_memory_kb\": %ld}\n",
      samples.size(), static_cast<long long>(transactions),
      std::chrono::duration<double>(end_->at - begin_->at).count(), threads_, end_->client_cpu_s - begin_->client_cpu_s,
      end_->broker_cpu_s - begin_->broker_cpu_s, PeakMemoryKb());
  std::fflush(stdout);
}

}  // namespace assent::kafka_branch
