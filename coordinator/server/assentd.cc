// assentd: the coordinator's process. Reads its configuration, opens its log, recovers, serves until told to stop.

#include <grpc/support/log.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <thread>

#include "absl/strings/str_join.h"
#include "coordinator/server/config.h"
#include "coordinator/server/config_document.h"
#include "coordinator/server/conninfo.h"
#include "coordinator/server/participant_factories.h"
#include "coordinator/server/server.h"

namespace assent {
namespace {

// Why the process ended. Documented in docs/configuration.md.
enum ExitCode : int {
  kStopped = 0,           // as asked, by SIGTERM or SIGINT; or --help, --check-config and their like
  kBadConfiguration = 2,  // the command line, the file, or what it names
  kLogRefuses = 3,        // the data folder: in use, foreign, damaged, of a newer format
  kForeignWork = 4,       // a participant holds work of another decision log under our name
  kCannotListen = 5,
};

struct CommandLine {
  std::string config_file = "/etc/assent/assentd.toml";
  std::string address_file;
  ConfigFlags flags;
  bool check_config = false;
  bool print_default_config = false;
  bool print_options = false;
};

void DescribeFlags(CLI::App& app, CommandLine& line) {
  app.add_option("--config", line.config_file, "Configuration file")->capture_default_str();
  app.add_option("--listen", line.flags.listen, "Address to serve on instead of the file's; may be repeated")
      ->allow_extra_args(false);
  app.add_option("--data-dir", line.flags.data_dir, "Folder of the decision log, instead of the file's");
  app.add_option("--log-level", line.flags.log_level, "trace, debug, info, warning or error");
  app.add_option("--address-file", line.address_file,
                 "Once serving, write the addresses there, one a line, with the ports that were bound");
  app.add_flag("--adopt", line.flags.adopt,
               "Start although participants hold work of another data folder under this coordinator's name, and leave "
               "that work alone; not work of another copy of this one");
  app.add_flag("--check-config", line.check_config, "Read the configuration, say what is wrong with it, and end");
  app.add_flag("--print-default-config", line.print_default_config, "Print a file with every option, and end");
  app.add_flag("--print-options", line.print_options,
               "Print the options as the tables of docs/configuration.md, and end");
  app.set_version_flag("--version", ASSENT_VERSION);
}

void LogGrpc(gpr_log_func_args* args) {
  if (args->severity == GPR_LOG_SEVERITY_ERROR) spdlog::warn("gRPC: {}", args->message);
  if (args->severity == GPR_LOG_SEVERITY_INFO) spdlog::debug("gRPC: {}", args->message);
}

void StartLogging(const std::string& level) {
  spdlog::set_default_logger(spdlog::stderr_logger_mt("assentd"));
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%f%z %l %v");
  spdlog::set_level(spdlog::level::from_str(level));
  spdlog::flush_on(spdlog::level::info);
  gpr_set_log_function(LogGrpc);
}

// In every thread: they inherit it. The main thread takes these signals by waiting for them.
sigset_t BlockStopSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  return signals;
}

// Whole or not at all: who waits for the file may read it as soon as it is there.
bool WriteAddressFile(const std::string& path, const std::vector<std::string>& addresses) {
  const std::string unfinished = path + ".new";
  std::ofstream file(unfinished, std::ios::trunc);
  file << absl::StrJoin(addresses, "\n") << "\n";
  file.close();
  return file.good() && std::rename(unfinished.c_str(), path.c_str()) == 0;
}

void LogParticipants(const Config& config) {
  for (const ParticipantConfig& participant : config.participants) {
    if (const auto* postgres = std::get_if<postgres::PostgresOptions>(&participant)) {
      spdlog::info("participant {}: PostgreSQL, {}", postgres->name, RedactConninfo(postgres->conninfo));
    } else if (const auto* kafka = std::get_if<kafka::KafkaOptions>(&participant)) {
      spdlog::info("participant {}: Kafka, {}", kafka->name, absl::StrJoin(kafka->bootstrap_servers, ","));
    }
  }
}

std::string ParticipantNames(const Config& config) {
  return absl::StrJoin(config.participants, ",",
                       [](std::string* text, const ParticipantConfig& participant) { *text += NameOf(participant); });
}

void LogServing(const Config& config, const LogStart& start, const std::vector<std::string>& addresses) {
  spdlog::info("assentd {} serves {} as coordinator {}, incarnation {:016x}, epoch {}, participants {}, {} unfinished",
               ASSENT_VERSION, absl::StrJoin(addresses, ","), start.coordinator.name, start.coordinator.incarnation,
               start.epoch, ParticipantNames(config), start.unfinished.size());
}

ExitCode Refuse(ExitCode code, const absl::Status& status) {
  spdlog::critical("{}", std::string(status.message()));
  return code;
}

// From the configuration to the end of the process.
ExitCode Serve(const Config& config, const std::string& address_file) {
  const sigset_t stop_signals = BlockStopSignals();
  auto log = OpenDecisionLog(config.LogOptions());
  if (!log.ok()) return Refuse(kLogRefuses, log.status());
  auto engine = Engine::Start(config.EngineOptionsFor(std::thread::hardware_concurrency()), **log, SystemClock(),
                              ParticipantFactories(config.participants));
  if (!engine.ok()) return Refuse(kBadConfiguration, engine.status());
  const auto is_told_to_stop = [&] {
    const timespec now{};
    return sigtimedwait(&stop_signals, nullptr, &now) > 0;
  };
  if (absl::Status identity = (*engine)->CheckIdentity(config.start_patience, is_told_to_stop); !identity.ok()) {
    return Refuse(absl::IsCancelled(identity) ? kStopped : kForeignWork, identity);
  }
  auto server = Server::Start({.listen = config.listen,
                               .tls = config.tls,
                               .max_request_bytes = config.engine.max_request_bytes,
                               .max_operations = config.engine.max_operations,
                               .max_calls = config.max_calls},
                              **engine);
  if (!server.ok()) return Refuse(kCannotListen, server.status());
  LogServing(config, (*log)->start(), (*server)->addresses());
  if (!address_file.empty() && !WriteAddressFile(address_file, (*server)->addresses())) {
    return Refuse(kBadConfiguration,
                  absl::InvalidArgumentError("--address-file " + address_file + " cannot be written"));
  }
  int signal_number = 0;
  sigwait(&stop_signals, &signal_number);
  spdlog::info("{}: stopping, calls in progress have {}", strsignal(signal_number),
               absl::FormatDuration(config.stop_patience));
  (*server)->Stop(config.stop_patience);
  engine->reset();  // before the log that it writes to
  spdlog::info("stopped");
  return kStopped;
}

ExitCode Run(const CommandLine& line) {
  if (line.print_default_config) {
    std::cout << DefaultConfigText();
    return kStopped;
  }
  if (line.print_options) {
    std::cout << OptionTablesMarkdown();
    return kStopped;
  }
  auto config = ReadConfigFile(line.config_file, line.flags);
  if (!config.ok()) {
    std::cerr << "assentd: the configuration is refused\n" << config.status().message() << "\n";
    return kBadConfiguration;
  }
  if (line.check_config) {
    for (const std::string& warning : config->warnings) std::cerr << "warning: " << warning << "\n";
    std::cout << line.config_file << " is a configuration of coordinator \"" << config->coordinator << "\" with "
              << config->participants.size()
              << (config->participants.size() == 1 ? " participant\n" : " participants\n");
    return kStopped;
  }
  umask(0007);  // the log, and Unix sockets: for this user and group alone
  StartLogging(config->log_level);
  for (const std::string& warning : config->warnings) spdlog::warn("{}", warning);
  LogParticipants(*config);
  return Serve(*config, line.address_file);
}

}  // namespace
}  // namespace assent

int main(int argc, char** argv) {
  CLI::App app{"assentd: commits atomically across stores that know nothing of each other"};
  assent::CommandLine line;
  assent::DescribeFlags(app, line);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? assent::kStopped : assent::kBadConfiguration;
  }
  return assent::Run(line);
}
