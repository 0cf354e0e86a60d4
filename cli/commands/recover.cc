// assent recover: recovery now, by the running coordinator or, of one that is down, by the tool itself.

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "cli/offline/offline_recovery.h"
#include "cli/table.h"
#include "cli/tool.h"
#include "coordinator/server/config.h"
#include "coordinator/server/participant_factories.h"

namespace assent::cli {
namespace {

struct Options {
  bool offline = false;
  bool apply = false;
  std::string config = "/etc/assent/assentd.toml";
  ConfigFlags flags;
  absl::Duration patience = absl::Seconds(30);
};

ExitCode RunOnline(const Tool& tool) {
  const auto recovered = tool.Connect().Recover();
  if (!recovered.ok()) return tool.Fail(recovered.status());
  if (tool.json) {
    tool.PrintJson(*recovered);
  } else {
    tool.out << "tried " << recovered->retried() << " branches that waited for their next attempt, and asked "
             << recovered->swept() << " participants what they hold\n";
  }
  return kDone;
}

// ---- Offline --------------------------------------------------------------------------------------------------------

absl::StatusOr<DownCoordinator> ReadCoordinator(const Options& options) {
  const auto config = ReadConfigFile(options.config, options.flags);
  if (!config.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the configuration is refused: ", std::string(config.status().message())));
  }
  DownCoordinator coordinator{.log = config->LogOptions(),
                              .engine = config->EngineOptionsFor(/*cores=*/1),
                              .participants = ParticipantFactories(config->participants),
                              .patience = options.patience};
  coordinator.engine.shards = 1;
  return coordinator;
}

void PrintPlan(const Tool& tool, const v1::RecoveryPlan& plan) {
  Table table({"PARTICIPANT", "ACTION", "TRANSACTION", "BRANCH", "WHY", "TOKEN"});
  for (const v1::RecoveryStep& step : plan.steps()) {
    table.AddRow({step.participant(), step.action(), step.txn_id(), step.branch(), step.why(), step.token()});
  }
  if (table.empty()) {
    tool.out << "nothing is in doubt\n";
  } else {
    table.Print(tool.out, tool.width);
  }
}

// What keeps the work from being whole; false: nothing.
bool PrintWhatIsMissing(const Tool& tool, const v1::RecoveryPlan& plan) {
  for (const std::string& participant : plan.unreachable()) {
    tool.err << Printable(absl::StrCat("assent: could not ask what it holds: participant ", participant)) << "\n";
  }
  bool left_alone = false;
  for (const v1::RecoveryStep& step : plan.steps()) left_alone = left_alone || step.action() == "none";
  return left_alone || !plan.unreachable().empty();
}

ExitCode RunOffline(const Tool& tool, const Options& options) {
  // What the engine has to say is not what was asked for; errors are.
  spdlog::set_default_logger(spdlog::stderr_logger_mt("assent"));
  spdlog::set_pattern("assent: %v");
  spdlog::set_level(spdlog::level::err);
  const auto coordinator = ReadCoordinator(options);
  if (!coordinator.ok()) return tool.Fail(coordinator.status());
  auto plan = PlanRecovery(*coordinator);
  if (!plan.ok()) return tool.Fail(plan.status());
  if (!tool.json) PrintPlan(tool, *plan);
  const bool has_steps = !plan->steps().empty();
  // Nothing to do is done without a start, which would be one more epoch.
  if (!options.apply || (!has_steps && plan->unreachable().empty())) {
    if (tool.json) tool.PrintJson(*plan);
    const bool is_incomplete = PrintWhatIsMissing(tool, *plan);
    if (has_steps) tool.err << "assent: nothing was done; --apply does it\n";
    return has_steps || is_incomplete ? kFound : kDone;
  }
  const auto result =
      ApplyRecovery(*coordinator, [&tool](std::int64_t left) { tool.err << "assent: " << left << " left\n"; });
  if (!result.ok()) return tool.Fail(result.status());
  plan->set_applied(true);
  plan->set_left(result->left);
  plan->clear_unreachable();
  for (const std::string& participant : result->unreachable) plan->add_unreachable(participant);
  if (tool.json) tool.PrintJson(*plan);
  const bool is_incomplete = PrintWhatIsMissing(tool, *plan);
  if (result->left > 0) {
    tool.err << "assent: " << result->left
             << " have not ended; run it again, or start assentd, when their participants "
             << "can be reached\n";
  } else if (!is_incomplete) {
    tool.err << "assent: nothing is left in doubt\n";
  }
  return result->left > 0 || is_incomplete ? kFound : kDone;
}

}  // namespace

void AddRecover(CLI::App& app, Tool& tool) {
  auto options = std::make_shared<Options>();
  CLI::App& command = AddCommand(
      app, tool, "recover",
      "Ask a running coordinator to recover now: to try what waits for its next attempt, and to look for prepared work "
      "that nobody owns. It does both by itself too, with pauses. With --offline: say what a start of a coordinator "
      "that is down would do to every branch in doubt, and why; with --apply do it. It may be interrupted, and "
      "repeated",
      "assent recover --offline --config /etc/assent/assentd.toml --apply",
      [&tool, options] { return options->offline ? RunOffline(tool, *options) : RunOnline(tool); });
  CLI::Option* offline =
      command.add_flag("--offline", options->offline, "Work on the data folder of a coordinator that is down");
  command.add_option("--config", options->config, "Its configuration")->capture_default_str()->needs(offline);
  command.add_option("--data-dir", options->flags.data_dir, "Its data folder, instead of the configuration's")
      ->needs(offline);
  command.add_flag("--apply", options->apply, "Do it")->needs(offline);
  command
      .add_flag("--adopt", options->flags.adopt,
                "Although participants hold work of another decision log under its name; that is left alone")
      ->needs(offline);
  AddDuration(command, "--patience", options->patience,
              "How long to wait for participants to answer, and then without any progress")
      .needs(offline);
}

}  // namespace assent::cli
