// assent doctor: what is wrong, or will be.

#include <spdlog/spdlog.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "assent/v1/tool.pb.h"
#include "cli/doctor/examination.h"
#include "cli/table.h"
#include "cli/tool.h"

namespace assent::cli {
namespace {

struct Options {
  std::string config = "/etc/assent/assentd.toml";
  ConfigFlags flags;
  absl::Duration patience = absl::Seconds(5);
};

void Append(FindingList more, FindingList& findings) {
  for (v1::Finding& finding : more) findings.push_back(std::move(finding));
}

FindingList Examine(const Tool& tool, const Options& options) {
  const auto config = ReadConfigFile(options.config, options.flags);
  if (!config.ok()) return MistakesIn(std::string(config.status().message()));
  FindingList findings = WarningsOf(*config);
  AdminClient client = tool.Connect(options.patience);
  const auto participants = client.ListParticipants();
  Append(ExamineFolder(*config, participants.ok()), findings);
  if (participants.ok()) {
    Append(ExamineCoordinator(client, *participants, absl::Now()), findings);
  } else {
    findings.push_back(MakeFinding(v1::Finding::WARNING, "coordinator", std::string(participants.status().message()),
                                   "start assentd, or give the address at which it listens"));
  }
  Append(ExamineParticipants(*config, options.patience), findings);
  std::stable_sort(findings.begin(), findings.end(),
                   [](const v1::Finding& a, const v1::Finding& b) { return a.severity() > b.severity(); });
  return findings;
}

std::string_view NameOf(v1::Finding::Severity severity) {
  switch (severity) {
    case v1::Finding::DANGER:
      return "DANGER";
    case v1::Finding::WARNING:
      return "WARNING";
    default:
      return "note";
  }
}

ExitCode Run(const Tool& tool, const Options& options) {
  spdlog::set_level(spdlog::level::off);  // what participants have to say comes as findings
  const FindingList found = Examine(tool, options);
  const auto needs_attention = [](const v1::Finding& finding) { return finding.severity() >= v1::Finding::WARNING; };
  const bool is_well = std::none_of(found.begin(), found.end(), needs_attention);
  if (tool.json) {
    v1::Findings findings;
    for (const v1::Finding& finding : found) *findings.add_findings() = finding;
    tool.PrintJson(findings);
    return is_well ? kDone : kFound;
  }
  for (const v1::Finding& finding : found) {
    tool.out << NameOf(finding.severity()) << "  " << Printable(finding.subject()) << ": " << Printable(finding.what())
             << "\n    fix: " << Printable(finding.fix()) << "\n";
  }
  tool.out << (is_well ? "nothing is wrong\n" : "");
  return is_well ? kDone : kFound;
}

}  // namespace

void AddDoctor(CLI::App& app, Tool& tool) {
  auto options = std::make_shared<Options>();
  CLI::App& command =
      AddCommand(app, tool, "doctor",
                 "Check a coordinator's configuration, its data folder and log, whether it and its participants can be "
                 "reached, and the settings of those that endanger atomicity; each finding with its fix. Exit 1 if "
                 "there is a warning or worse",
                 "assent doctor --config /etc/assent/assentd.toml", [&tool, options] { return Run(tool, *options); });
  command.add_option("--config", options->config, "The coordinator's configuration")->capture_default_str();
  command.add_option("--data-dir", options->flags.data_dir, "Its data folder, instead of the configuration's");
  AddDuration(command, "--patience", options->patience,
              "How long to wait for the coordinator, and for each participant");
}

}  // namespace assent::cli
