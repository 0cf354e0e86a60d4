#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/contract/participant_contract.h"
#include "tests/contract/postgres_harness.h"

namespace assent {

// What only PostgreSQL does, on the real server: an instance with one working connection, so that each branch finds
// what the one before it left behind.
class PostgresTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string why_not;
    harness_ = PostgresHarness::OnSharedServer(why_not);
    if (harness_ == nullptr) GTEST_SKIP() << why_not;
    harness_->options().max_connections = 2;
  }

  // Started at its first use, with the options that the test has set by then.
  Participant& participant() {
    if (participant_ == nullptr) participant_ = &driver_.Start(*harness_, 1);
    return *participant_;
  }

  PlainPostgres& judge() { return harness_->judge(); }
  const std::string& table() { return harness_->table(); }

  BranchId Open(const v1::SqlBranchOptions& options = {}, absl::Duration deadline = absl::Minutes(1)) {
    const BranchId branch = driver_.NewBranch();
    v1::BranchOptions all;
    *all.mutable_sql() = options;
    const absl::Status opened = participant().Open(branch, all, SystemClock().Now() + deadline);
    EXPECT_TRUE(opened.ok()) << opened;
    return branch;
  }

  static v1::Operation Sql(const std::vector<std::string>& statements) {
    v1::Operation operation;
    for (const std::string& sql : statements) operation.mutable_sql()->add_statements()->set_sql(sql);
    return operation;
  }

  ExecuteOutcome Run(const BranchId& branch, const std::string& sql) {
    return driver_.Execute(participant(), branch, Sql({sql}));
  }

  void RunOk(const BranchId& branch, const std::string& sql) {
    const ExecuteOutcome outcome = Run(branch, sql);
    EXPECT_TRUE(outcome.ok) << sql << ": " << outcome.error.message;
  }

  // The only value of the only row.
  std::string Text(const BranchId& branch, const std::string& sql) {
    const ExecuteOutcome outcome = Run(branch, sql);
    EXPECT_TRUE(outcome.ok) << sql << ": " << outcome.error.message;
    if (!outcome.ok || outcome.result.sql().results(0).rows().empty()) return "";
    return outcome.result.sql().results(0).rows(0).values(0).text();
  }

  std::string Insert(const std::string& value) {
    return absl::StrCat("INSERT INTO ", table(), " (value) VALUES ('", value, "')");
  }

  Vote PrepareYes(const BranchId& branch) {
    Vote vote = driver_.Prepare(participant(), branch);
    EXPECT_EQ(vote.kind, Vote::Kind::kYes) << vote.error.message;
    return vote;
  }

  Vote PrepareNo(const BranchId& branch) {
    Vote vote = driver_.Prepare(participant(), branch);
    EXPECT_EQ(vote.kind, Vote::Kind::kNo) << vote.error.message;
    return vote;
  }

  void CommitDone(const BranchId& branch, const Vote& vote) {
    const Finish finish = driver_.CommitUntilEnded(participant(), branch, vote.token);
    EXPECT_EQ(finish.kind, Finish::Kind::kDone) << finish.message;
    participant().Forget(branch, vote.token);
  }

  void AbortDone(const BranchId& branch, const std::string& token = "") {
    const Finish finish = driver_.AbortUntilEnded(participant(), branch, token);
    EXPECT_EQ(finish.kind, Finish::Kind::kDone) << finish.message;
    participant().Forget(branch, token);
  }

  // Ends a branch whatever it did: the connection is free again.
  void EndBranch(const BranchId& branch) { AbortDone(branch); }

  // The backend of the branch's connection.
  std::string BackendOf(const BranchId& branch) { return Text(branch, "SELECT pg_backend_pid()::text"); }

  // Ends an unknown branch whose PREPARE was answered while its backend works for another one, which must not notice.
  void AbortBesideItsSuccessor(const BranchId& unknown, const Vote& vote) {
    const BranchId successor = Open();
    RunOk(successor, Insert("of the successor"));
    AbortDone(unknown, vote.token);
    RunOk(successor, Insert("more of the successor"));
    CommitDone(successor, PrepareYes(successor));
    EXPECT_TRUE(harness_->IsVisible("of the successor"));
  }

  // Of this test alone: others may run on the same server.
  const CoordinatorId coordinator_{absl::StrCat("contractpg", std::random_device()()), std::random_device()()};
  std::unique_ptr<PostgresHarness> harness_;
  ContractDriver driver_{coordinator_};
  Participant* participant_ = nullptr;
};

}  // namespace assent
