#pragma once

#include <memory>
#include <string>

#include "participants/postgres/postgres_participant.h"
#include "tests/contract/participant_contract.h"
#include "tests/contract/plain_postgres.h"

namespace assent {

// PostgreSQL behind the contract suite, and behind the tests of what only it does: a table of the test's own in the
// database "orders" of the shared server, or in a cluster of the test's own.
class PostgresHarness : public ParticipantHarness {
 public:
  // On the server that ASSENT_TEST_POSTGRES names (a conninfo without dbname); nothing where that is not set.
  static std::unique_ptr<PostgresHarness> OnSharedServer(std::string& why_not);
  static std::unique_ptr<PostgresHarness> OnOwnServer(std::string& why_not, const std::string& settings = "");

  ~PostgresHarness() override;

  std::unique_ptr<Participant> Make(const ParticipantContext& context) override;

  v1::BranchOptions GoodOptions() override;
  v1::BranchOptions OptionsOfAnotherKind() override;
  v1::Operation GoodOperation(const std::string& value) override;
  v1::Operation BadOperation() override;
  v1::Operation OperationOfAnotherKind() override;
  bool IsVisible(const std::string& value) override;
  int CountPrepared(const CoordinatorId& coordinator) override;
  bool OwnsServer() const override { return own_ != nullptr; }
  void StopServer() override;
  void StartServer() override;

  PlainPostgres& judge() { return *judge_; }
  const std::string& table() const { return table_; }
  postgres::PostgresOptions& options() { return options_; }  // for the next Make()

 private:
  PostgresHarness(const std::string& conninfo, std::unique_ptr<OwnPostgres> own);

  std::unique_ptr<OwnPostgres> own_;
  postgres::PostgresOptions options_;
  std::unique_ptr<PlainPostgres> judge_;
  std::string table_;
};

}  // namespace assent
