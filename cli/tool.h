#pragma once

#include <google/protobuf/message.h>

#include <CLI/CLI.hpp>
#include <cstddef>
#include <functional>
#include <ostream>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "assent/options.h"
#include "cli/admin_client.h"
#include "cli/exit_code.h"

namespace assent::cli {

// What the commands share: the flags that stand before them, and where their words go. Filled in by the parsing; owned
// by RunTool() for one command.
struct Tool {
  std::ostream& out;
  std::ostream& err;
  std::size_t width = 0;  // of the terminal that `out` is; 0: it is none

  bool json = false;
  std::string address = "127.0.0.1:7411";
  bool tls = false;
  ClientTls tls_files = {};
  absl::Duration timeout = absl::Seconds(10);  // of one call

  // What the chosen command does.
  std::function<ExitCode()> command = {};

  AdminClient Connect() const { return Connect(timeout); }
  AdminClient Connect(absl::Duration patience) const;

  // The message as JSON, with the names of proto/assent/v1, on one line if `compact`.
  void PrintJson(const google::protobuf::Message& message, bool compact = false) const;

  // Says why a command did not do what was asked: on `err`, and with --json as an object on `out`.
  ExitCode Fail(const absl::Status& status) const;
};

// Adds a subcommand, whose help ends with the example. `run` is called if it is chosen.
CLI::App& AddCommand(CLI::App& app, Tool& tool, const std::string& name, const std::string& what,
                     const std::string& example, std::function<ExitCode()> run);

// "5m", "1h30m".
CLI::Option& AddDuration(CLI::App& command, const std::string& name, absl::Duration& value, const std::string& what);

// The commands, each in a file of its own in cli/commands/.
void AddTransactions(CLI::App& app, Tool& tool);
void AddShow(CLI::App& app, Tool& tool);
void AddParticipants(CLI::App& app, Tool& tool);
void AddHeuristics(CLI::App& app, Tool& tool);
void AddWatch(CLI::App& app, Tool& tool);
void AddResolve(CLI::App& app, Tool& tool);
void AddAudit(CLI::App& app, Tool& tool);
void AddRecover(CLI::App& app, Tool& tool);
void AddDoctor(CLI::App& app, Tool& tool);

// Parses a command line and runs it.
int RunTool(int argc, const char* const* argv, std::ostream& out, std::ostream& err);

}  // namespace assent::cli
