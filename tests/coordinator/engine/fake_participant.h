#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "participants/participant.h"

namespace assent {

// A store that outlives coordinators: what is prepared and what is committed in it, by gid.
struct FakeStore {
  std::map<std::string, BranchId> prepared;
  std::map<std::string, int> committed;  // how often
  std::vector<std::string> foreign;
  std::vector<std::string> foreign_open;
  std::string identity;
  Hidden hidden;
};

// A participant that answers at once, as its test tells it to, and keeps a journal of the calls.
class FakeParticipant final : public Participant {
 public:
  FakeParticipant(std::string name, ParticipantKind kind, FakeStore& store)
      : store_(store), name_(std::move(name)), kind_(kind) {}

  std::string_view name() const override { return name_; }
  ParticipantKind kind() const override { return kind_; }
  void Start(std::vector<std::string> unfinished_tokens, std::function<void()> on_available) override {
    unfinished = std::move(unfinished_tokens);
    available = std::move(on_available);
  }
  void TakeOver() override { ++taken_over; }
  absl::Status Open(const BranchId& branch, const v1::BranchOptions&, absl::Time) override {
    if (open_result.ok()) Note("open", branch);
    return open_result;
  }
  void Execute(const BranchId& branch, v1::Operation operation, ExecuteDone done) override {
    Note("execute", branch);
    ExecuteOutcome outcome{.ok = execute_error.message.empty(), .error = execute_error};
    outcome.result.mutable_kafka()->set_records(operation.kafka().records_size());
    if (!result_text.empty()) outcome.result.mutable_sql()->add_results()->set_command_tag(result_text);
    if (hold_execute) {
      held.push_back([outcome, done = std::move(done)]() mutable { done(outcome); });
    } else {
      done(outcome);
    }
  }
  void Prepare(const BranchId& branch, PrepareDone done) override {
    Note("prepare", branch);
    Vote answer = vote;
    if (answer.kind == Vote::Kind::kYes || prepares_although_unknown) store_.prepared[branch.ToGid()] = branch;
    if (answer.kind == Vote::Kind::kYes) answer.token = "token of " + branch.ToGid();
    if (hold_votes) {
      held.push_back([answer, done = std::move(done)]() mutable { done(answer); });
    } else {
      done(answer);
    }
  }
  void Commit(const BranchId& branch, const std::string& token, FinishDone done) override {
    Note("commit", branch);
    tokens.push_back(token);
    if (finish.kind == Finish::Kind::kDone && store_.prepared.erase(branch.ToGid()) > 0)
      ++store_.committed[branch.ToGid()];
    if (hold_finish) return held.push_back([answer = finish, done = std::move(done)]() mutable { done(answer); });
    done(finish);
  }
  void Abort(const BranchId& branch, const std::string&, FinishDone done) override {
    Note("abort", branch);
    if (finish.kind == Finish::Kind::kDone) store_.prepared.erase(branch.ToGid());
    done(finish);
  }
  void Forget(const BranchId& branch, const std::string&) override { Note("forget", branch); }
  void ListOwn(ListDone done) override {
    if (is_away) return done(absl::UnavailableError("away"));
    OwnWork work;
    for (const auto& [gid, branch] : store_.prepared)
      work.branches.push_back({branch, "found " + gid, absl::UnixEpoch()});
    work.foreign = store_.foreign;
    work.foreign_open = store_.foreign_open;
    work.identity = store_.identity;
    if (!hold_lists) return done(std::move(work));
    held.push_back([work = std::move(work), done = std::move(done)]() mutable { done(std::move(work)); });
  }
  ParticipantHealth health() const override { return {.available = true}; }
  void Inspect(InspectDone done) override {
    Inspection inspection{.prepared_limit = 300};
    inspection.findings.emplace_back().set_what("fsync is off");
    done(std::move(inspection));
  }
  void MeasureHidden(HiddenDone done) override { done(store_.hidden); }

  // Lets out the answers that were held, in order.
  void Release() {
    auto answers = std::exchange(held, {});
    for (auto& answer : answers) answer();
  }
  int Count(const std::string& call) const {
    int count = 0;
    for (const std::string& entry : journal) count += entry.starts_with(call + " ") ? 1 : 0;
    return count;
  }

  absl::Status open_result;
  BranchError execute_error;
  std::string result_text;  // instead of the count of records
  Vote vote{.kind = Vote::Kind::kYes};
  Finish finish{.kind = Finish::Kind::kDone};
  bool is_away = false;  // does not say what it holds
  bool hold_execute = false;
  bool hold_votes = false;
  bool hold_finish = false;  // of commits
  bool hold_lists = false;   // made when they are asked for
  bool prepares_although_unknown = false;
  std::vector<absl::AnyInvocable<void()>> held;
  std::vector<std::string> journal;  // "prepare db"
  std::vector<std::string> tokens;
  std::vector<std::string> unfinished;
  int taken_over = 0;  // times
  std::function<void()> available;

 private:
  void Note(const char* call, const BranchId& branch) { journal.push_back(std::string(call) + " " + branch.name); }

  FakeStore& store_;
  std::string name_;
  ParticipantKind kind_;
};

}  // namespace assent
