// Starts assentd on what stands in doubt: how long until its first new transaction is committed, and until nothing is
// prepared any more.
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "assent/client.h"
#include "bench/recovery/prepared_watch.h"

namespace assent::bench_recovery {
namespace {

pid_t Spawn(const Arguments& arguments) {
  const pid_t pid = fork();
  if (pid < 0) GiveUp("fork failed");
  if (pid > 0) return pid;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const std::string& program = arguments.Text("assentd");
  dup2(open(arguments.Text("log").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644), STDERR_FILENO);
  execl(program.c_str(), program.c_str(), "--config", arguments.Text("config").c_str(), "--listen", "127.0.0.1:0",
        "--address-file", arguments.Text("address_file").c_str(), nullptr);
  _exit(127);
}

std::string AwaitAddress(const std::string& file, pid_t pid) {
  while (!std::filesystem::exists(file)) {
    if (waitpid(pid, nullptr, WNOHANG) == pid) GiveUp("assentd has ended instead of serving");
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  std::ifstream in(file);
  std::string address;
  std::getline(in, address);
  return address;
}

void CommitOne(const std::string& address, int id) {
  Client client({.address = address});
  const auto result = client.Submit(Submission()
                                        .Do("orders-db", Sql("INSERT INTO orders VALUES ($1)", id))
                                        .Do("stock-db", Sql("INSERT INTO orders VALUES ($1)", id)));
  if (!result.ok()) GiveUp(result.status().ToString());
}

double Seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

void Measure(const Arguments& arguments) {
  PreparedWatch watch(arguments.Text("orders"));
  const Clock::time_point begin = Clock::now();
  const pid_t assentd = Spawn(arguments);
  const std::string address = AwaitAddress(arguments.Text("address_file"), assentd);
  const Clock::time_point serves = Clock::now();
  CommitOne(address, arguments.Number("new_id"));
  const Clock::time_point served = Clock::now();
  const PreparedWatch::Seen seen = watch.Await();
  kill(assentd, SIGTERM);
  rusage usage{};
  wait4(assentd, nullptr, 0, &usage);
  std::printf(
      "{\"serves_s\": %.6f, \"first_transaction_s\": %.6f, \"recovered_s\": %.6f, \"seconds\": %.6f, \"cpu_s\": "
      "%.3f}\n",
      bench_recovery::Seconds(serves - begin), bench_recovery::Seconds(served - begin),
      bench_recovery::Seconds(seen.none_left - begin), bench_recovery::Seconds(seen.none_left - seen.first_ended),
      Seconds(usage.ru_utime) + Seconds(usage.ru_stime));
}

}  // namespace
}  // namespace assent::bench_recovery

int main(int argc, char** argv) {
  assent::bench_recovery::Measure(assent::bench_recovery::Arguments(argc, argv));
  return 0;
}
