// assent resolve: ends a branch by hand.

#include <pwd.h>
#include <unistd.h>

#include <climits>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "cli/table.h"
#include "cli/tool.h"
#include "cli/words.h"

namespace assent::cli {
namespace {

struct Resolution {
  v1::ResolveBranchRequest request;
  bool commit = false;
  bool abort = false;
};

// "alice@db-host": for the audit trail. Whoever may call the coordinator may say anything here.
std::string WhoAsks() {
  char host[HOST_NAME_MAX + 1] = "?";
  gethostname(host, sizeof host - 1);
  const passwd* const user = getpwuid(getuid());
  return absl::StrCat(user != nullptr ? user->pw_name : absl::StrCat("uid ", getuid()).c_str(), "@", host);
}

ExitCode Run(const Tool& tool, Resolution& resolution) {
  v1::ResolveBranchRequest& request = resolution.request;
  request.set_outcome(resolution.commit ? v1::COMMITTED : v1::ABORTED);
  if (request.requested_by().empty()) request.set_requested_by(WhoAsks());
  if (request.force() && request.reason().empty()) {
    return tool.Fail(absl::InvalidArgumentError("--force needs --reason: it stands in the audit trail for ever"));
  }
  const auto resolved = tool.Connect().ResolveBranch(request);
  if (!resolved.ok()) return tool.Fail(resolved.status());
  if (tool.json) {
    tool.PrintJson(*resolved);
  } else {
    tool.out << Printable(absl::StrCat("branch ", request.branch(), " of ", request.txn_id(), ": ", resolved->message(),
                                       resolved->forced() ? " (forced; see assent audit)" : ""))
             << "\n";
  }
  return kDone;
}

}  // namespace

void AddResolve(CLI::App& app, Tool& tool) {
  auto resolution = std::make_shared<Resolution>();
  v1::ResolveBranchRequest& request = resolution->request;
  CLI::App& command = AddCommand(
      app, tool, "resolve",
      "End one branch by hand. Without --force only as the decision says, at once; or, where nothing is decided, by "
      "aborting the whole transaction. What contradicts a durable decision, or has none to go by, takes --force",
      "assent resolve orders-5f0cab12d3e4f567-3-0-1042 --branch stock-db --commit",
      [&tool, resolution] { return Run(tool, *resolution); });
  command
      .add_option_function<std::string>(
          "TRANSACTION", [&request](const std::string& id) { request.set_txn_id(id); }, "Its id")
      ->required();
  command
      .add_option_function<std::string>(
          "--branch", [&request](const std::string& branch) { request.set_branch(branch); }, "Name of the branch")
      ->required();
  CLI::Option_group& outcome = *command.add_option_group("outcome", "What the branch shall come to");
  outcome.add_flag("--commit", resolution->commit, "Commit it");
  outcome.add_flag("--abort", resolution->abort, "Roll it back");
  outcome.require_option(1);
  command.add_flag_function(
      "--force", [&request](std::int64_t) { request.set_force(true); },
      "Also against a durable decision, or without one: written to the audit trail first. It tears the transaction "
      "unless its other branches end the same");
  command.add_option_function<std::string>(
      "--reason", [&request](const std::string& reason) { request.set_reason(reason); }, "Why; --force needs one");
  command.add_option_function<std::string>(
      "--requested-by", [&request](const std::string& who) { request.set_requested_by(who); },
      "Who asks, for the audit trail; default: this user at this machine");
}

}  // namespace assent::cli
