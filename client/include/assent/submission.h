#pragma once

#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "assent/operation.h"
#include "assent/options.h"
#include "assent/result.h"

namespace assent {
inline namespace client {

// Statements that run together, in order; or records.
using Work = std::variant<std::vector<Sql>, std::vector<Record>>;

struct SubmissionBranch {
  std::string name;
  std::string participant;
  BranchOptions options;
  std::vector<Work> operations;
};

// A whole transaction, to be carried out in one round trip:
//
//   Submission()
//       .Do("orders-db", Sql("INSERT INTO orders VALUES ($1, $2)", 42, "tea"))
//       .Do("events", Record("orders", "42", "placed"))
//       .RequestId("place-order-42")
//
// Operations of one branch run in the order in which they were added.
class Submission {
 public:
  // Work in the branch of that name. The first use of a name that Branch() did not give opens a branch at the
  // participant of that name.
  Submission& Do(const std::string& branch, Sql statement) & {
    return DoWork(branch, std::vector<Sql>{std::move(statement)});
  }
  Submission& Do(const std::string& branch, Record record) & {
    return DoWork(branch, std::vector<Record>{std::move(record)});
  }
  Submission& Do(const std::string& branch, std::vector<Sql> statements) & {
    return DoWork(branch, std::move(statements));
  }
  Submission& Do(const std::string& branch, std::vector<Record> records) & {
    return DoWork(branch, std::move(records));
  }
  template <typename Any>
  Submission&& Do(const std::string& branch, Any work) && {
    return std::move(Do(branch, std::move(work)));
  }

  // A branch with a name or with options of its own. Before its first Do().
  Submission& Branch(std::string name, std::string participant, BranchOptions options = {}) & {
    branches_.push_back({std::move(name), std::move(participant), std::move(options), {}});
    return *this;
  }
  Submission&& Branch(std::string name, std::string participant, BranchOptions options = {}) && {
    return std::move(Branch(std::move(name), std::move(participant), std::move(options)));
  }

  // What is undecided by then is aborted. Zero: ClientOptions::default_timeout.
  Submission& Timeout(absl::Duration timeout) & {
    timeout_ = timeout;
    return *this;
  }
  Submission&& Timeout(absl::Duration timeout) && { return std::move(Timeout(timeout)); }

  // Names the transaction, at most 128 bytes: however often it is submitted under this name, also by other processes
  // and after a crash, it is carried out once, for as long as the coordinator keeps outcomes (a day by default); who
  // may repeat it later says FirstAttempt(). Empty: a random one, for the repeats of this one call.
  Submission& RequestId(std::string request_id) & {
    request_id_ = std::move(request_id);
    return *this;
  }
  Submission&& RequestId(std::string request_id) && { return std::move(RequestId(std::move(request_id))); }

  // When this request_id was first used, where an earlier call did: a request from before what the coordinator
  // remembers is refused rather than run twice. Default: now.
  Submission& FirstAttempt(absl::Time first_attempt) & {
    first_attempt_ = first_attempt;
    return *this;
  }
  Submission&& FirstAttempt(absl::Time first_attempt) && { return std::move(FirstAttempt(first_attempt)); }

  Submission& WaitFor(Wait wait) & {
    wait_ = wait;
    return *this;
  }
  Submission&& WaitFor(Wait wait) && { return std::move(WaitFor(wait)); }

  // Shown to operators.
  Submission& Label(std::string key, std::string value) & {
    labels_[std::move(key)] = std::move(value);
    return *this;
  }
  Submission&& Label(std::string key, std::string value) && {
    return std::move(Label(std::move(key), std::move(value)));
  }

  const std::vector<SubmissionBranch>& branches() const { return branches_; }
  absl::Duration timeout() const { return timeout_; }
  const std::string& request_id() const { return request_id_; }
  absl::Time first_attempt() const { return first_attempt_; }
  Wait wait() const { return wait_; }
  const std::map<std::string, std::string>& labels() const { return labels_; }

 private:
  Submission& DoWork(const std::string& branch, Work work);

  std::vector<SubmissionBranch> branches_;
  absl::Duration timeout_;
  std::string request_id_;
  absl::Time first_attempt_ = absl::InfinitePast();
  Wait wait_ = Wait::kDatabases;
  std::map<std::string, std::string> labels_;
};

// What a committed submission gave.
struct SubmitResult {
  std::string txn_id;
  // By branch, in order of its operations. Records give an empty SqlResult.
  std::map<std::string, std::vector<SqlResult>> results;
  // An earlier attempt of this request_id had ended already: its outcome is kept, its results are not.
  bool results_omitted = false;
  // Branches that may not have followed the decision. An operator has to look.
  std::vector<std::string> heuristic_branches;
};

}  // namespace client
}  // namespace assent
