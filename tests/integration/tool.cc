#include "tests/integration/tool.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include "tests/integration/servers.h"

namespace assent::integration {
namespace {

std::string TakeFile(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::string text{std::istreambuf_iterator<char>(file), {}};
  std::filesystem::remove(path);
  return text;
}

}  // namespace

Ran RunAssent(const std::vector<std::string>& arguments, std::chrono::milliseconds kill_after) {
  // Files and not pipes: one that is full would stop the tool.
  const std::string base = (std::filesystem::temp_directory_path() / UniqueName("assent-tool")).string();
  const std::string out = base + ".out";
  const std::string err = base + ".err";
  std::vector<char*> argv;
  std::vector<std::string> words = arguments;
  words.insert(words.begin(), ASSENT_PATH);
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const pid_t pid = fork();
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(open(out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), STDOUT_FILENO);
    dup2(open(err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), STDERR_FILENO);
    execv(argv[0], argv.data());
    _exit(127);
  }
  EXPECT_GT(pid, 0);
  if (kill_after.count() > 0) {
    // A random moment is the point: no condition is waited for.
    std::this_thread::sleep_for(kill_after);
    kill(pid, SIGKILL);  // one that has ended is not reaped yet
  }
  int status = 0;
  waitpid(pid, &status, 0);
  return {.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1, .out = TakeFile(out), .err = TakeFile(err)};
}

}  // namespace assent::integration
