#include "cli/tool.h"

#include <google/protobuf/util/json_util.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <iostream>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "cli/table.h"

namespace assent::cli {
namespace {

constexpr char kDescription[] =
    "assent: shows what a coordinator (assentd) is doing, and ends by hand what cannot end by itself";

constexpr char kExitCodes[] =
    "Exit codes: 0 done; 1 something was found that needs attention; 2 the command line; 3 no coordinator answers;\n"
    "4 no such transaction, branch or participant; 5 refused; 6 not done, or not known.\n"
    "docs/operations.md tells more.";

std::size_t TerminalWidth(const std::ostream& out) {
  if (&out != &std::cout || isatty(STDOUT_FILENO) == 0) return 0;
  winsize size{};
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

void AddSharedFlags(CLI::App& app, Tool& tool) {
  app.add_option("--address", tool.address, "Where the coordinator listens: host:port, or unix:/path")
      ->envname("ASSENT_ADDRESS")
      ->capture_default_str();
  app.add_flag("--json", tool.json, "Print JSON, with the field names of the API, instead of tables");
  AddDuration(app, "--timeout", tool.timeout, "How long to wait for each answer");
  app.add_flag("--tls", tool.tls, "Speak TLS; implied by the files below");
  app.add_option("--tls-ca", tool.tls_files.server_ca,
                 "PEM file of the authority that signed the coordinator's certificate; without it: the system's")
      ->envname("ASSENT_TLS_CA");
  app.add_option("--tls-certificate", tool.tls_files.certificate, "PEM file of this client's certificate")
      ->envname("ASSENT_TLS_CERTIFICATE");
  app.add_option("--tls-key", tool.tls_files.key, "PEM file of its key")->envname("ASSENT_TLS_KEY");
  app.add_option("--tls-server-name", tool.tls_files.server_name,
                 "Name that the coordinator's certificate must bear, instead of the address's host");
}

}  // namespace

AdminClient Tool::Connect(absl::Duration patience) const {
  ClientOptions options{.address = address};
  const bool has_files = !tls_files.server_ca.empty() || !tls_files.certificate.empty() || !tls_files.key.empty() ||
                         !tls_files.server_name.empty();
  if (tls || has_files) options.tls = std::make_shared<const ClientTls>(tls_files);
  return {std::move(options), patience};
}

void Tool::PrintJson(const google::protobuf::Message& message, bool compact) const {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = !compact;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  std::string text;
  const auto printed = google::protobuf::util::MessageToJsonString(message, &text, options);
  ASSENT_CHECK(printed.ok(), "a message of our own cannot be written as JSON");
  out << text;
  if (text.empty() || text.back() != '\n') out << "\n";
}

ExitCode Tool::Fail(const absl::Status& status) const {
  err << "assent: " << Printable(std::string(status.message())) << "\n";
  return ExitCodeOf(status);
}

CLI::App& AddCommand(CLI::App& app, Tool& tool, const std::string& name, const std::string& what,
                     const std::string& example, std::function<ExitCode()> run) {
  CLI::App& command = *app.add_subcommand(name, what);
  command.footer(absl::StrCat("Example:\n  ", example));
  command.fallthrough();  // the shared flags may also stand behind the command
  command.callback([&tool, run = std::move(run)] { tool.command = run; });
  return command;
}

CLI::Option& AddDuration(CLI::App& command, const std::string& name, absl::Duration& value, const std::string& what) {
  const auto parse = [name, &value](const std::string& text) {
    absl::Duration parsed;
    if (!absl::ParseDuration(text, &parsed) || parsed < absl::ZeroDuration() || parsed == absl::InfiniteDuration()) {
      throw CLI::ValidationError(name, absl::StrCat("\"", text, "\" is no duration: write it as 30s, 5m or 1h30m"));
    }
    value = parsed;
  };
  return *command.add_option_function<std::string>(name, parse, what)
              ->type_name("DURATION")
              ->default_str(absl::FormatDuration(value));
}

int RunTool(int argc, const char* const* argv, std::ostream& out, std::ostream& err) {
  Tool tool{.out = out, .err = err, .width = TerminalWidth(out)};
  CLI::App app{kDescription, "assent"};
  app.footer(kExitCodes);
  app.set_version_flag("--version", ASSENT_VERSION);
  app.require_subcommand(1);
  AddSharedFlags(app, tool);
  AddTransactions(app, tool);
  AddShow(app, tool);
  AddParticipants(app, tool);
  AddHeuristics(app, tool);
  AddWatch(app, tool);
  AddResolve(app, tool);
  AddAudit(app, tool);
  AddRecover(app, tool);
  AddDoctor(app, tool);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error, out, err) == 0 ? kDone : kUsage;
  }
  return tool.command();
}

}  // namespace assent::cli
