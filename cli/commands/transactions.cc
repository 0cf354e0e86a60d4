// assent transactions: what has not ended.

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "cli/overview.h"
#include "cli/tool.h"
#include "cli/words.h"

namespace assent::cli {
namespace {

struct Filter {
  std::vector<std::string> states;
  std::string participant;
  absl::Duration older_than;
  std::size_t most = 1000;
};

v1::ListTransactionsRequest ToRequest(const Filter& filter) {
  v1::ListTransactionsRequest request;
  for (const std::string& name : filter.states) request.add_states(*ParseState(name));
  request.set_participant(filter.participant);
  const std::int64_t seconds = absl::ToInt64Seconds(filter.older_than);
  request.mutable_older_than()->set_seconds(seconds);
  request.mutable_older_than()->set_nanos(
      static_cast<std::int32_t>(absl::ToInt64Nanoseconds(filter.older_than - absl::Seconds(seconds))));
  return request;
}

// Nothing was found for a participant: is there one of that name?
absl::Status CheckParticipant(AdminClient& client, const std::string& name) {
  const auto listed = client.ListParticipants();
  if (!listed.ok()) return listed.status();
  std::vector<std::string> names;
  for (const v1::ParticipantDescription& participant : listed->participants()) {
    if (participant.name() == name) return absl::OkStatus();
    names.push_back(participant.name());
  }
  return absl::NotFoundError(
      absl::StrCat("the coordinator has no participant \"", name, "\"; it has ", absl::StrJoin(names, ", ")));
}

ExitCode Run(const Tool& tool, const Filter& filter) {
  AdminClient client = tool.Connect();
  const auto transactions = client.ListTransactions(ToRequest(filter), filter.most);
  if (!transactions.ok()) return tool.Fail(transactions.status());
  const v1::ListTransactionsResponse& listed = transactions->listed;
  if (listed.transactions().empty() && !filter.participant.empty()) {
    if (const absl::Status known = CheckParticipant(client, filter.participant); !known.ok()) return tool.Fail(known);
  }
  if (tool.json) {
    tool.PrintJson(listed);
  } else {
    PrintTransactions(tool, listed, absl::Now());
  }
  if (transactions->truncated) {
    tool.err << "assent: there are more than these " << filter.most << "; narrow the search, or raise --most\n";
  } else if (listed.transactions().empty() && !tool.json) {
    tool.err << "assent: no transaction that has not ended matches\n";
  }
  return kDone;
}

}  // namespace

void AddTransactions(CLI::App& app, Tool& tool) {
  auto filter = std::make_shared<Filter>();
  CLI::App& command = AddCommand(app, tool, "transactions", "List the transactions that have not ended, oldest first",
                                 "assent transactions --state committing --older-than 1m --participant orders-db",
                                 [&tool, filter] { return Run(tool, *filter); });
  command.add_option("--state", filter->states, "Only those in this state; may be repeated")
      ->check(CLI::IsMember(StateNames()))
      ->allow_extra_args(false);
  command.add_option("--participant", filter->participant, "Only those with a branch there");
  AddDuration(command, "--older-than", filter->older_than, "Only those begun so long ago, or by an earlier process");
  command.add_option("--most", filter->most, "How many to list")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
}

}  // namespace assent::cli
