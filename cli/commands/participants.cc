// assent participants: how each store is doing.

#include "absl/time/clock.h"
#include "cli/overview.h"
#include "cli/tool.h"

namespace assent::cli {
namespace {

ExitCode Run(const Tool& tool) {
  AdminClient client = tool.Connect();
  const auto listed = client.ListParticipants();
  if (!listed.ok()) return tool.Fail(listed.status());
  if (tool.json) {
    tool.PrintJson(*listed);
  } else {
    PrintParticipants(tool, *listed, absl::Now());
  }
  return kDone;
}

}  // namespace

void AddParticipants(CLI::App& app, Tool& tool) {
  AddCommand(
      app, tool, "participants",
      "List the participants: whether each is up, what is open and in doubt there and for how long, and how much "
      "room it has for prepared transactions",
      "assent participants", [&tool] { return Run(tool); });
}

}  // namespace assent::cli
