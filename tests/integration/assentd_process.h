#pragma once

#include <grpcpp/channel.h>
#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "tests/integration/servers.h"

namespace assent::integration {

// One [[participant]] of a configuration.
std::string PostgresParticipant(const std::string& name, const std::string& conninfo, const std::string& more = "");
std::string KafkaParticipant(const std::string& name, const std::string& server = KafkaServer(),
                             const std::string& more = "");

// How an assentd that would not serve ended.
struct Refusal {
  int exit_code = -1;
  std::string log;
};

// The real assentd, with a configuration, a data folder and a port of its own. It keeps all three over restarts, and
// dies with the thread that started it.
class Assentd {
 public:
  // `participants` are the [[participant]] tables, `settings` what stands above them; `data_dir` and `coordinator` are
  // another one's folder and name.
  explicit Assentd(const std::string& participants, const std::string& settings = "",
                   std::filesystem::path data_dir = {}, const std::string& coordinator = "");
  ~Assentd();  // by SIGKILL; removes the folder
  Assentd(const Assentd&) = delete;
  Assentd& operator=(const Assentd&) = delete;

  // Returns when it serves; false, with a failure of the test, if it ends instead. `flag` is one of its command line.
  bool Start(const std::string& flag = "");
  // As Start(), but of assentd_crash, which ends like a crash the `times`th time that it comes to a failpoint: perhaps
  // before it serves.
  void StartTo(const std::string& failpoint, int times);
  bool AwaitCrash();  // that end; false, with a failure of the test, where it does not come
  // Starts it where it must refuse to serve.
  Refusal StartRefused();
  // Starts it where it may refuse: whether it serves.
  bool TryStart();
  // Waits until it ends by itself, and does `meanwhile` again and again. The exit code; -1, with a failure of the test,
  // where it does not end or a signal ends it.
  int AwaitEnd(const std::function<void()>& meanwhile = [] {});
  void Kill();  // SIGKILL: a crash
  int Stop();   // SIGTERM; the exit code

  const std::string& address() const { return address_; }
  const std::string& coordinator() const { return coordinator_; }
  std::shared_ptr<grpc::Channel> NewChannel() const;
  const std::filesystem::path& data_dir() const { return data_dir_; }
  std::string config_file() const { return (folder_ / "assentd.toml").string(); }
  std::string Log() const;  // what it wrote to standard error, in all its lives

  // Of the running process, from /proc.
  long PeakResidentKilobytes() const;
  int Threads() const;

 private:
  void Launch(const std::string& failpoint = "", const std::string& flag = "");
  bool AwaitServing();
  bool HasEnded() const;  // and waits to be waited for
  int Wait();
  std::string ProcStatus(const std::string& field) const;
  std::filesystem::path address_file() const { return folder_ / "address"; }

  const std::filesystem::path folder_;
  const std::filesystem::path data_dir_;
  const std::string coordinator_;
  const std::string address_;
  pid_t pid_ = 0;
};

}  // namespace assent::integration
