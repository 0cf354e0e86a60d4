#include "cli/overview.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/table.h"
#include "cli/words.h"

namespace assent::cli {
namespace {

std::string AgeOf(const v1::TransactionDescription& transaction, absl::Time now) {
  if (transaction.has_began()) return AgeText(now - ToTime(transaction.began()));
  // Found in the log, or prepared at a participant: when it began is known to the process that is gone.
  const v1::BranchDescription* longest = LongestWaiting(transaction);
  return longest == nullptr ? "?" : absl::StrCat(">", AgeText(now - ToTime(longest->since())));
}

std::string WaitsFor(const v1::TransactionDescription& transaction) {
  const v1::BranchDescription* longest = LongestWaiting(transaction);
  if (longest == nullptr) return "";
  return absl::StrCat(longest->branch(), " ", longest->state(), longest->waits_for().empty() ? "" : ": ",
                      longest->waits_for());
}

std::string BranchesOf(const v1::TransactionDescription& transaction) {
  return absl::StrJoin(transaction.branches(), ",", [](std::string* out, const v1::BranchDescription& branch) {
    absl::StrAppend(out, branch.branch());
  });
}

std::string HealthOf(const v1::ParticipantDescription& participant) {
  if (!participant.available()) return "DOWN";
  return participant.takes_branches() ? "up" : "NOT TAKEN OVER";
}

std::string PreparedOf(const v1::ParticipantDescription& participant) {
  if (!participant.has_prepared_limit()) return "-";
  return absl::StrCat(participant.prepared(), " of ", participant.prepared_limit());
}

std::string HiddenOf(const v1::ParticipantDescription& participant) {
  if (!participant.has_hidden()) return participant.hidden_is_partial() ? "?" : "-";
  return absl::StrCat(participant.hidden(), " in ", participant.hidden_in(),
                      participant.hidden_is_partial() ? ", or more elsewhere" : "");
}

void PrintNotes(std::ostream& out, const v1::ParticipantDescription& participant) {
  for (const v1::Finding& finding : participant.findings()) {
    out << Printable(absl::StrCat("! ", participant.name(), ": ", finding.what(), ". Fix: ", finding.fix())) << "\n";
  }
  for (const std::string& id : participant.left_alone()) {
    out << Printable(absl::StrCat("! ", participant.name(), ": ", id, " is left alone: it is ",
                                  WhyLeftAlone(participant.kind())))
        << "\n";
  }
}

}  // namespace

void PrintTransactions(const Tool& tool, const v1::ListTransactionsResponse& listed, absl::Time now) {
  Table table({"TRANSACTION", "STATE", "DECISION", "AGE", "BRANCHES", "WAITS FOR"});
  for (const v1::TransactionDescription& transaction : listed.transactions()) {
    table.AddRow({transaction.txn_id(), NameOf(transaction.state()), NameOf(transaction.outcome()),
                  AgeOf(transaction, now), BranchesOf(transaction), WaitsFor(transaction)});
  }
  if (!table.empty()) table.Print(tool.out, tool.width);
}

void PrintParticipants(const Tool& tool, const v1::ListParticipantsResponse& listed, absl::Time now) {
  Table table({"PARTICIPANT", "KIND", "HEALTH", "OPEN", "IN DOUBT", "OLDEST", "HIDDEN", "PREPARED", "DETAILS"});
  for (const v1::ParticipantDescription& participant : listed.participants()) {
    const std::string oldest =
        participant.has_oldest_in_doubt() ? AgeText(now - ToTime(participant.oldest_in_doubt())) : "-";
    table.AddRow({participant.name(), participant.kind(), HealthOf(participant), absl::StrCat(participant.open()),
                  absl::StrCat(participant.in_doubt()), oldest, HiddenOf(participant), PreparedOf(participant),
                  participant.health()});
  }
  table.Print(tool.out, tool.width);
  for (const v1::ParticipantDescription& participant : listed.participants()) PrintNotes(tool.out, participant);
}

}  // namespace assent::cli
