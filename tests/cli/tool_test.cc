#include "cli/tool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <vector>

namespace assent::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;

struct Ran {
  int exit_code = -1;
  std::string out;
  std::string err;
};

Ran RunAssent(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "assent");
  std::ostringstream out;
  std::ostringstream err;
  const int exit_code = RunTool(static_cast<int>(arguments.size()), arguments.data(), out, err);
  return {exit_code, out.str(), err.str()};
}

// The names of the commands, from the tool's own help.
std::vector<std::string> Commands() {
  std::istringstream help(RunAssent({"--help"}).out);
  std::vector<std::string> commands;
  bool listing = false;
  for (std::string line; std::getline(help, line);) {
    if (listing && line.starts_with("  ") && line[2] != ' ') commands.push_back(line.substr(2, line.find(' ', 2) - 2));
    listing = listing ? !line.empty() : line == "Subcommands:";
  }
  return commands;
}

TEST(ToolTest, EveryCommandHasAnExampleInItsHelp) {
  const std::vector<std::string> commands = Commands();
  EXPECT_THAT(commands, testing::IsSupersetOf({"transactions", "show", "participants", "heuristics", "watch", "resolve",
                                               "audit", "recover"}));
  for (const std::string& command : commands) {
    const Ran help = RunAssent({command.c_str(), "--help"});
    EXPECT_EQ(help.exit_code, kDone) << command;
    EXPECT_THAT(help.out, HasSubstr("Example:\n  assent " + command)) << command;
  }
}

TEST(ToolTest, TheHelpTellsTheExitCodes) {
  EXPECT_THAT(RunAssent({"--help"}).out, AllOf(HasSubstr("Exit codes"), HasSubstr("3 no coordinator answers")));
}

TEST(ToolTest, ACommandLineThatMakesNoSenseSaysWhy) {
  EXPECT_EQ(RunAssent({}).exit_code, kUsage);
  EXPECT_EQ(RunAssent({"frobnicate"}).exit_code, kUsage);
  EXPECT_EQ(RunAssent({"show"}).exit_code, kUsage);
  const Ran state = RunAssent({"transactions", "--state", "commiting"});
  EXPECT_EQ(state.exit_code, kUsage);
  EXPECT_THAT(state.err, AllOf(HasSubstr("commiting"), HasSubstr("committing"), HasSubstr("aborting")));
  const Ran age = RunAssent({"transactions", "--older-than", "5 minutes"});
  EXPECT_EQ(age.exit_code, kUsage);
  EXPECT_THAT(age.err, AllOf(HasSubstr("\"5 minutes\" is no duration"), HasSubstr("1h30m")));
}

TEST(ToolTest, ACoordinatorThatDoesNotAnswerIsNamedWithWhatToCheck) {
  const Ran ran = RunAssent({"participants", "--address", "127.0.0.1:1", "--timeout", "200ms"});
  EXPECT_EQ(ran.exit_code, kUnreachable);
  EXPECT_THAT(ran.err, AllOf(HasSubstr("127.0.0.1:1"), HasSubstr("check that assentd runs"), HasSubstr("--tls-ca")));
}

TEST(ToolTest, ATlsFileThatCannotBeReadIsTheCommandLinesFault) {
  const Ran ran = RunAssent({"participants", "--tls-ca", "/no/such/file.pem"});
  EXPECT_EQ(ran.exit_code, kUsage);
  EXPECT_THAT(ran.err, HasSubstr("/no/such/file.pem"));
}

}  // namespace
}  // namespace assent::cli
