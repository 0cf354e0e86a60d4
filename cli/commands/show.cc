// assent show: all that is known of one transaction.

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "cli/table.h"
#include "cli/tool.h"
#include "cli/words.h"

namespace assent::cli {
namespace {

// "name        value", one a line; nothing where there is no value.
void PrintField(std::ostream& out, std::string_view indent, std::string name, std::string_view value) {
  constexpr std::size_t kNameWidth = 13;
  if (value.empty()) return;
  name.resize(kNameWidth, ' ');
  out << indent << name << Printable(value) << "\n";
}

std::string DecisionOf(const v1::TransactionDescription& transaction, absl::Time now) {
  std::string text = NameOf(transaction.outcome());
  if (transaction.has_decided_at()) absl::StrAppend(&text, ", at ", TimeAndAge(transaction.decided_at(), now));
  if (transaction.outcome() == v1::ABORTED && !transaction.has_decided_at()) {
    absl::StrAppend(&text, ", presumed: an abort without a request_id leaves no record");
  }
  return text;
}

void PrintBranch(std::ostream& out, const v1::TransactionDescription& transaction, const v1::BranchDescription& branch,
                 absl::Time now) {
  std::string state = branch.state();
  if (branch.has_since()) absl::StrAppend(&state, ", for ", AgeText(now - ToTime(branch.since())));
  if (branch.repaired()) absl::StrAppend(&state, ", repaired: its work was done again");
  out << "\nbranch " << Printable(branch.branch()) << "\n";
  PrintField(out, "  ", "participant", branch.participant());
  PrintField(out, "  ", "state", state);
  if (branch.operations() > 0) PrintField(out, "  ", "operations", absl::StrCat(branch.operations()));
  PrintField(out, "  ", "token", branch.token());
  PrintField(out, "  ", branch.heuristic() ? "found" : "waits for", branch.waits_for());
  PrintField(out, "  ", "next", NextOf(transaction, branch, now));
}

void Print(std::ostream& out, const v1::TransactionDescription& transaction, absl::Time now) {
  PrintField(out, "", "transaction", transaction.txn_id());
  PrintField(out, "", "request_id", transaction.request_id());
  PrintField(out, "", "state", NameOf(transaction.state()));
  PrintField(out, "", "decision", DecisionOf(transaction, now));
  if (transaction.has_began()) PrintField(out, "", "began", TimeAndAge(transaction.began(), now));
  if (transaction.has_deadline()) PrintField(out, "", "deadline", TimeAndAge(transaction.deadline(), now));
  PrintField(out, "", "reason", transaction.failure().reason());
  for (const auto& [key, value] : transaction.labels()) PrintField(out, "", "label", absl::StrCat(key, " = ", value));
  for (const v1::BranchDescription& branch : transaction.branches()) PrintBranch(out, transaction, branch, now);
}

ExitCode Run(const Tool& tool, const std::string& txn_id) {
  AdminClient client = tool.Connect();
  const auto transaction = client.DescribeTransaction(txn_id);
  if (!transaction.ok()) return tool.Fail(transaction.status());
  if (tool.json) {
    tool.PrintJson(*transaction);
  } else {
    Print(tool.out, *transaction, absl::Now());
  }
  return kDone;
}

}  // namespace

void AddShow(CLI::App& app, Tool& tool) {
  auto txn_id = std::make_shared<std::string>();
  CLI::App& command =
      AddCommand(app, tool, "show",
                 "Show one transaction: its state, its decision, every branch with its token, what "
                 "each waits for, since when, and what happens next",
                 "assent show orders-5f0cab12d3e4f567-3-0-1042", [&tool, txn_id] { return Run(tool, *txn_id); });
  command.add_option("TRANSACTION", *txn_id, "Its id, as Begin gave it")->required();
}

}  // namespace assent::cli
