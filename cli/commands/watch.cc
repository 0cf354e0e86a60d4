// assent watch: how the coordinator is doing, again and again.

#include <csignal>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "cli/overview.h"
#include "cli/tool.h"
#include "cli/words.h"

namespace assent::cli {
namespace {

constexpr std::size_t kMostTransactions = 20;  // shown: the oldest
constexpr char kClearTerminal[] = "\x1b[H\x1b[J";

struct Watching {
  absl::Duration interval = absl::Seconds(2);
  std::uint32_t looks = 0;  // 0: for ever
};

// One look. An unreachable coordinator is shown like any other state: the watcher goes on.
ExitCode Look(const Tool& tool, AdminClient& client) {
  if (tool.width > 0) tool.out << kClearTerminal;
  const absl::Time now = absl::Now();
  const auto participants = client.ListParticipants();
  if (!participants.ok()) return tool.Fail(participants.status());
  const auto transactions = client.ListTransactions({}, kMostTransactions);
  if (!transactions.ok()) return tool.Fail(transactions.status());
  if (tool.json) {
    tool.PrintJson(*participants, /*compact=*/true);
    tool.PrintJson(transactions->listed, /*compact=*/true);
    return kDone;
  }
  tool.out << client.address() << "  " << TimeText(now) << "\n\n";
  PrintParticipants(tool, *participants, now);
  tool.out << "\n";
  PrintTransactions(tool, transactions->listed, now);
  if (transactions->truncated) tool.out << "… and more: assent transactions\n";
  tool.out << std::flush;
  return kDone;
}

ExitCode Run(const Tool& tool, const Watching& watching) {
  AdminClient client = tool.Connect();
  ExitCode last = kDone;
  for (std::uint32_t look = 1;; ++look) {
    last = Look(tool, client);
    if (look == watching.looks) return last;
    absl::SleepFor(watching.interval);
  }
}

}  // namespace

void AddWatch(CLI::App& app, Tool& tool) {
  auto watching = std::make_shared<Watching>();
  CLI::App& command = AddCommand(
      app, tool, "watch",
      "Show participants and the oldest transactions, again and again, until it is interrupted; with --json two "
      "lines each time",
      "assent watch --interval 5s", [&tool, watching] { return Run(tool, *watching); });
  AddDuration(command, "--interval", watching->interval, "Between two looks");
  command.add_option("--looks", watching->looks, "How many; 0: until it is interrupted")->capture_default_str();
}

}  // namespace assent::cli
