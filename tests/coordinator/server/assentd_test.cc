// The process: its flags, its exit codes, its start and its stop. Its participants are down throughout;
// tests/integration runs it with real ones.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "assent/v1/coordinator.grpc.pb.h"

namespace assent {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string ReadFile(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// One run of assentd with its output in a file. Killed, if it still runs, when it is destroyed.
class Process {
 public:
  Process(const std::string& output, std::vector<std::string> arguments) : output_(output) {
    arguments.insert(arguments.begin(), ASSENTD_PATH);
    std::vector<char*> argv;
    argv.reserve(arguments.size() + 1);
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    pid_ = fork();
    if (pid_ != 0) return;
    const int file = open(output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    dup2(file, STDOUT_FILENO);
    dup2(file, STDERR_FILENO);
    execv(argv[0], argv.data());
    _exit(127);
  }
  ~Process() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    Wait();
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void Signal(int number) const { kill(pid_, number); }
  // Its exit code, or 128 and the signal that ended it.
  int Wait() {
    int status = 0;
    waitpid(std::exchange(pid_, -1), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  bool IsRunning() {
    int status = 0;
    return waitpid(pid_, &status, WNOHANG) == 0;
  }
  std::string output() const { return ReadFile(output_); }

 private:
  const std::string output_;
  pid_t pid_ = -1;
};

class AssentdTest : public testing::Test {
 protected:
  AssentdTest() {
    std::string name = testing::TempDir() + "/assentd_test_XXXXXX";
    folder_ = mkdtemp(name.data());
    Write("start_patience = \"50ms\"\nlisten = [\"127.0.0.1:0\"]\n");
  }
  ~AssentdTest() override { std::filesystem::remove_all(folder_); }

  // A configuration whose participants nobody answers for: port 1 is never listened on.
  void Write(const std::string& top) {
    std::ofstream(config_file()) << absl::StrCat(
        "coordinator = \"orders\"\ndata_dir = \"", folder_, "/data\"\n", top,
        "[[participant]]\nname = \"db\"\ntype = \"postgres\"\n"
        "conninfo = \"host=127.0.0.1 port=1 dbname=orders user=assent password=geheim\"\n"
        "[[participant]]\nname = \"events\"\ntype = \"kafka\"\nbootstrap_servers = [\"127.0.0.1:1\"]\n");
  }
  std::string config_file() const { return folder_ + "/assentd.toml"; }
  std::string address_file() const { return folder_ + "/address"; }
  std::string output_file() { return absl::StrCat(folder_, "/output", ++outputs_); }

  std::vector<std::string> Serving() const { return {"--config", config_file(), "--address-file", address_file()}; }
  // The address it serves on; empty where it ended before.
  std::string Address(Process& run) const {
    while (run.IsRunning()) {
      const std::string address = ReadFile(address_file());
      if (!address.empty()) return address.substr(0, address.find('\n'));
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return "";
  }

  std::string folder_;
  int outputs_ = 0;
};

TEST_F(AssentdTest, ItServesWhileItsParticipantsAreDownAndStopsWhenItIsTold) {
  for (const int signal_number : {SIGTERM, SIGINT}) {
    std::filesystem::remove(address_file());
    Process run(output_file(), Serving());
    const std::string address = Address(run);
    ASSERT_NE(address, "") << run.output();
    const auto stub = v1::Coordinator::NewStub(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
    grpc::ClientContext context;
    v1::BeginResponse response;
    EXPECT_TRUE(stub->Begin(&context, {}, &response).ok());
    EXPECT_THAT(response.txn_id(), HasSubstr("orders-"));
    run.Signal(signal_number);
    EXPECT_EQ(run.Wait(), 0) << run.output();
    EXPECT_THAT(run.output(), HasSubstr("serves " + address + " as coordinator orders, incarnation "));
    EXPECT_THAT(run.output(), HasSubstr("participants db,events, 0 unfinished"));
    EXPECT_THAT(run.output(), Not(HasSubstr("geheim")));
  }
}

TEST_F(AssentdTest, AWrongConfigurationEndsItWithTwoBeforeItTouchesAnything) {
  Write("log_levle = \"info\"\n");
  Process run(output_file(), Serving());
  EXPECT_EQ(run.Wait(), 2);
  EXPECT_THAT(run.output(), HasSubstr("assentd.toml:3:1: unknown key \"log_levle\""));
  EXPECT_THAT(run.output(), HasSubstr("did you mean \"log_level\"?"));
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/data"));
}

TEST_F(AssentdTest, AWrongFlagEndsItWithTwo) {
  EXPECT_EQ(Process(output_file(), {"--no-such-flag"}).Wait(), 2);
  EXPECT_EQ(Process(output_file(), {"--config", folder_ + "/missing.toml"}).Wait(), 2);
  EXPECT_EQ(Process(output_file(), {"--config", config_file(), "--listen", "0.0.0.0:7411"}).Wait(), 2);
}

TEST_F(AssentdTest, ATlsFileThatIsMissingEndsItWithTwo) {
  Write("[tls]\ncertificate = \"/nonexistent/server.crt\"\nkey = \"/nonexistent/server.key\"\n");
  Process run(output_file(), {"--config", config_file(), "--listen", "127.0.0.1:0"});
  EXPECT_EQ(run.Wait(), 2);
  EXPECT_THAT(run.output(), HasSubstr("/nonexistent/server.crt"));
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/data"));
}

TEST_F(AssentdTest, ADataFolderInUseEndsItWithThree) {
  Process first(output_file(), Serving());
  ASSERT_NE(Address(first), "") << first.output();
  Process second(output_file(), {"--config", config_file()});
  EXPECT_EQ(second.Wait(), 3);
  EXPECT_THAT(second.output(), HasSubstr(folder_ + "/data"));
}

TEST_F(AssentdTest, AnAddressInUseEndsItWithFive) {
  Process first(output_file(), Serving());
  const std::string address = Address(first);
  ASSERT_NE(address, "") << first.output();
  Process second(output_file(), {"--config", config_file(), "--data-dir", folder_ + "/other", "--listen", address});
  EXPECT_EQ(second.Wait(), 5);
  EXPECT_THAT(second.output(), HasSubstr("cannot listen on " + address));
}

TEST_F(AssentdTest, WhatItPrintsAsTheDefaultsItTakesAsAConfiguration) {
  Process printing(config_file(), {"--print-default-config"});
  EXPECT_EQ(printing.Wait(), 0);
  Process checking(output_file(), {"--check-config", "--config", config_file()});
  EXPECT_EQ(checking.Wait(), 0) << checking.output();
  EXPECT_THAT(checking.output(), HasSubstr("coordinator \"orders\" with 2 participants"));
}

TEST_F(AssentdTest, CheckConfigTellsOfMistakesAndOfPasswords) {
  Process checking(output_file(), {"--check-config", "--config", config_file()});
  EXPECT_EQ(checking.Wait(), 0);
  EXPECT_THAT(checking.output(), HasSubstr("warning: "));
  EXPECT_THAT(checking.output(), HasSubstr("holds a password"));
  EXPECT_THAT(checking.output(), Not(HasSubstr("geheim")));
  Write("shards = -1\n");
  EXPECT_EQ(Process(output_file(), {"--check-config", "--config", config_file()}).Wait(), 2);
}

}  // namespace
}  // namespace assent
