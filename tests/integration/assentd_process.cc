#include "tests/integration/assentd_process.h"

#include <fcntl.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/support/channel_arguments.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <iostream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "tests/integration/await.h"

namespace assent::integration {
namespace {

constexpr auto kStartPatience = std::chrono::seconds(60);

std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

std::string PostgresParticipant(const std::string& name, const std::string& conninfo, const std::string& more) {
  return absl::StrCat("[[participant]]\ntype = \"postgres\"\nname = \"", name, "\"\nconninfo = \"", conninfo, "\"\n",
                      more, "\n");
}

std::string KafkaParticipant(const std::string& name, const std::string& server, const std::string& more) {
  return absl::StrCat("[[participant]]\ntype = \"kafka\"\nname = \"", name, "\"\nbootstrap_servers = [\"", server,
                      "\"]\n", more, "\n");
}

Assentd::Assentd(const std::string& participants, const std::string& settings, std::filesystem::path data_dir,
                 const std::string& coordinator)
    : folder_(std::filesystem::temp_directory_path() / UniqueName("assentd")),
      data_dir_(data_dir.empty() ? folder_ / "data" : std::move(data_dir)),
      coordinator_(coordinator.empty() ? UniqueName("c") : coordinator),
      address_(absl::StrCat("127.0.0.1:", FreePort())) {
  std::filesystem::create_directories(folder_);
  std::ofstream(config_file()) << "coordinator = \"" << coordinator_ << "\"\ndata_dir = \"" << data_dir_.string()
                               << "\"\n"
                               << settings << "\n"
                               << participants;
}

Assentd::~Assentd() {
  Kill();
  if (testing::Test::HasFailure()) std::cerr << "---- assentd said:\n" << Log() << "----\n";
  std::filesystem::remove_all(folder_);
}

// `failpoint` as ASSENT_FAILPOINT takes it; empty: the ordinary program.
void Assentd::Launch(const std::string& failpoint, const std::string& flag) {
  std::filesystem::remove(address_file());
  const std::string config = config_file();
  const std::string log = (folder_ / "log").string();
  const std::string file = address_file().string();
  pid_ = fork();
  ASSERT_GE(pid_, 0);
  if (pid_ > 0) return;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int output = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  dup2(output, STDERR_FILENO);
  const char* const program = failpoint.empty() ? ASSENTD_PATH : ASSENTD_CRASH_PATH;
  if (!failpoint.empty()) setenv("ASSENT_FAILPOINT", failpoint.c_str(), 1);
  execl(program, program, "--config", config.c_str(), "--listen", address_.c_str(), "--address-file", file.c_str(),
        flag.empty() ? nullptr : flag.c_str(), nullptr);
  _exit(127);
}

// True when it serves, false when it has ended.
bool Assentd::AwaitServing() {
  const auto end = std::chrono::steady_clock::now() + kStartPatience;
  while (!std::filesystem::exists(address_file())) {
    if (HasEnded()) return false;
    if (std::chrono::steady_clock::now() > end) {
      ADD_FAILURE() << ASSENTD_PATH << " neither serves nor ends";
      Kill();
      return false;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

bool Assentd::HasEnded() const {
  siginfo_t info{};
  return waitid(P_PID, pid_, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid_;
}

bool Assentd::Start(const std::string& flag) {
  Launch("", flag);
  if (!AwaitServing()) {
    ADD_FAILURE() << ASSENTD_PATH << " ended with " << Wait() << " instead of serving";
    return false;
  }
  return true;
}

void Assentd::StartTo(const std::string& failpoint, int times) {
  Launch(absl::StrCat(failpoint, ":", times));
  AwaitServing();
}

bool Assentd::AwaitCrash() {
  int status = 0;
  const bool ended = Await([&] { return waitpid(pid_, &status, WNOHANG) == pid_; });
  if (ended) pid_ = 0;
  const bool crashed = ended && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
  EXPECT_TRUE(crashed) << (ended ? "it ended by itself" : "it never came to its failpoint");
  return crashed;
}

Refusal Assentd::StartRefused() {
  Launch();
  if (AwaitServing()) {
    ADD_FAILURE() << ASSENTD_PATH << " serves although it must not";
    Kill();
    return {};
  }
  const int exit_code = Wait();
  return {.exit_code = exit_code, .log = Log()};
}

bool Assentd::TryStart() {
  Launch();
  const bool serves = AwaitServing();
  if (!serves) EXPECT_GE(Wait(), 0) << "a signal ended it: " << Log();
  return serves;
}

int Assentd::AwaitEnd(const std::function<void()>& meanwhile) {
  const bool ended = Await([&] {
    meanwhile();
    return HasEnded();
  });
  const int exit_code = ended ? Wait() : -1;
  EXPECT_GE(exit_code, 0) << (ended ? "a signal ended it" : "it did not end");
  return exit_code;
}

int Assentd::Wait() {
  if (pid_ == 0) return -1;
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = 0;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void Assentd::Kill() {
  if (pid_ == 0) return;
  kill(pid_, SIGKILL);
  Wait();
}

int Assentd::Stop() {
  kill(pid_, SIGTERM);
  return Wait();
}

std::shared_ptr<grpc::Channel> Assentd::NewChannel() const {
  // A connection of its own: channels to one address would share one, which may still be that of a killed process.
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(address_, grpc::InsecureChannelCredentials(), arguments);
}

std::string Assentd::Log() const { return ReadFile(folder_ / "log"); }

std::string Assentd::ProcStatus(const std::string& field) const {
  std::ifstream file(absl::StrCat("/proc/", pid_, "/status"));
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(field + ":")) return line.substr(field.size() + 1);
  }
  ADD_FAILURE() << "no " << field << " of process " << pid_;
  return "0";
}

long Assentd::PeakResidentKilobytes() const { return std::stol(ProcStatus("VmHWM")); }

int Assentd::Threads() const { return std::stoi(ProcStatus("Threads")); }

}  // namespace assent::integration
