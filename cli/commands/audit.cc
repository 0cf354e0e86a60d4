// assent heuristics, assent audit: what the log's audit trail holds.

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "cli/table.h"
#include "cli/tool.h"
#include "cli/words.h"

namespace assent::cli {
namespace {

std::string EndedAs(const v1::AuditEntry& entry) { return IsForced(entry) ? NameOf(entry.forced()) : "not as decided"; }

// The entries that a command is about.
absl::StatusOr<v1::ListAuditResponse> ListThose(const Tool& tool, bool (*is_meant)(const v1::AuditEntry&)) {
  auto listed = tool.Connect().ListAudit();
  if (!listed.ok()) return listed.status();
  v1::ListAuditResponse meant;
  for (v1::AuditEntry& entry : *listed->mutable_entries()) {
    if (is_meant(entry)) *meant.add_entries() = std::move(entry);
  }
  return meant;
}

ExitCode RunHeuristics(const Tool& tool) {
  const auto listed = ListThose(tool, IsHeuristic);
  if (!listed.ok()) return tool.Fail(listed.status());
  const ExitCode exit_code = listed->entries().empty() ? kDone : kFound;
  if (tool.json) {
    tool.PrintJson(*listed);
    return exit_code;
  }
  Table table({"FOUND", "TRANSACTION", "BRANCH", "PARTICIPANT", "DECIDED", "ENDED", "WHAT"});
  for (const v1::AuditEntry& entry : listed->entries()) {
    table.AddRow({TimeText(ToTime(entry.at())), entry.txn_id(), entry.branch(), entry.participant(),
                  NameOf(entry.decided()), EndedAs(entry),
                  IsForced(entry) ? absl::StrCat("forced by ", entry.forced_by()) : entry.what()});
  }
  if (table.empty()) {
    tool.err << "assent: every branch has followed its decision\n";
  } else {
    table.Print(tool.out, tool.width);
  }
  return exit_code;
}

ExitCode RunAudit(const Tool& tool) {
  const auto listed = ListThose(tool, IsForced);
  if (!listed.ok()) return tool.Fail(listed.status());
  if (tool.json) {
    tool.PrintJson(*listed);
    return kDone;
  }
  Table table({"AT", "BY", "TRANSACTION", "BRANCH", "PARTICIPANT", "DECIDED", "FORCED TO", "RECORD"});
  for (const v1::AuditEntry& entry : listed->entries()) {
    table.AddRow({TimeText(ToTime(entry.at())), entry.forced_by(), entry.txn_id(), entry.branch(), entry.participant(),
                  NameOf(entry.decided()), NameOf(entry.forced()), entry.what()});
  }
  if (table.empty()) {
    tool.err << "assent: nothing was ever forced\n";
  } else {
    table.Print(tool.out, tool.width);
  }
  return kDone;
}

}  // namespace

void AddHeuristics(CLI::App& app, Tool& tool) {
  AddCommand(app, tool, "heuristics",
             "List the branches that did not follow their decision, or of which nobody knows, also of ended "
             "transactions; exit 1 if there are any",
             "assent heuristics", [&tool] { return RunHeuristics(tool); });
}

void AddAudit(CLI::App& app, Tool& tool) {
  AddCommand(app, tool, "audit",
             "List the steps that operators forced, each with a record from before the participant was called, and one "
             "that says what came of it",
             "assent audit --json", [&tool] { return RunAudit(tool); });
}

}  // namespace assent::cli
