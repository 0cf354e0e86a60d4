#include "tests/contract/postgres_harness.h"

#include <cstdlib>
#include <random>

#include "absl/strings/str_cat.h"

namespace assent {

std::unique_ptr<PostgresHarness> PostgresHarness::OnSharedServer(std::string& why_not) {
  const char* const conninfo = std::getenv("ASSENT_TEST_POSTGRES");
  if (conninfo == nullptr) {
    why_not = "ASSENT_TEST_POSTGRES is not set: a conninfo, without dbname, of a server with the database orders";
    return nullptr;
  }
  return std::unique_ptr<PostgresHarness>(new PostgresHarness(absl::StrCat(conninfo, " dbname=orders"), nullptr));
}

std::unique_ptr<PostgresHarness> PostgresHarness::OnOwnServer(std::string& why_not, const std::string& settings) {
  auto own = std::make_unique<OwnPostgres>(settings);
  if (!own->failure().empty()) {
    ADD_FAILURE() << own->failure();
    why_not = own->failure();
    return nullptr;
  }
  const std::string conninfo = absl::StrCat(own->Conninfo(), " dbname=postgres");
  return std::unique_ptr<PostgresHarness>(new PostgresHarness(conninfo, std::move(own)));
}

PostgresHarness::PostgresHarness(const std::string& conninfo, std::unique_ptr<OwnPostgres> own)
    : own_(std::move(own)),
      judge_(std::make_unique<PlainPostgres>(conninfo)),
      table_(absl::StrCat("contract_", std::random_device{}())) {
  options_.name = "database";
  options_.conninfo = conninfo;
  options_.max_connections = 8;
  judge_->Query(absl::StrCat("CREATE TABLE ", table_, " (value text PRIMARY KEY, data bytea)"));
}

PostgresHarness::~PostgresHarness() {
  if (OwnsServer()) return;  // it goes as a whole
  for (const auto& row : judge_->Query("SELECT gid FROM pg_prepared_xacts WHERE database = current_database()"
                                       " AND gid LIKE 'assent-contract%'")) {
    // Left behind by a test that failed: it would keep the table from being dropped.
    if (::testing::Test::HasFailure()) judge_->TryQuery(absl::StrCat("ROLLBACK PREPARED ", judge_->Literal(row[0])));
  }
  judge_->Query("SET lock_timeout = '5s'");
  judge_->Query(absl::StrCat("DROP TABLE ", table_));
}

std::unique_ptr<Participant> PostgresHarness::Make(const ParticipantContext& context) {
  auto made = postgres::MakePostgresParticipant(options_, context);
  EXPECT_TRUE(made.ok()) << made.status();
  return std::move(made).value();
}

v1::BranchOptions PostgresHarness::GoodOptions() {
  v1::BranchOptions options;
  options.mutable_sql()->set_isolation(v1::READ_COMMITTED);
  return options;
}

v1::BranchOptions PostgresHarness::OptionsOfAnotherKind() {
  v1::BranchOptions options;
  options.mutable_kafka()->set_order(v1::UNORDERED);
  return options;
}

v1::Operation PostgresHarness::GoodOperation(const std::string& value) {
  v1::Operation operation;
  v1::SqlStatement& statement = *operation.mutable_sql()->add_statements();
  statement.set_sql(absl::StrCat("INSERT INTO ", table_, " (value) VALUES ($1)"));
  statement.add_parameter_sets()->add_values()->set_text(value);
  return operation;
}

v1::Operation PostgresHarness::BadOperation() {
  v1::Operation operation;
  operation.mutable_sql()->add_statements()->set_sql(absl::StrCat("INSERT INTO ", table_, " (value) VALUES (NULL)"));
  return operation;
}

v1::Operation PostgresHarness::OperationOfAnotherKind() {
  v1::Operation operation;
  operation.mutable_kafka()->add_records()->set_topic("events");
  return operation;
}

bool PostgresHarness::IsVisible(const std::string& value) {
  return judge_->Value(absl::StrCat("SELECT count(*) FROM ", table_, " WHERE value = ", judge_->Literal(value))) != "0";
}

int PostgresHarness::CountPrepared(const CoordinatorId& coordinator) {
  int count = 0;
  for (const auto& row : judge_->Query("SELECT gid FROM pg_prepared_xacts")) {
    const std::optional<BranchId> branch = ParseGid(row[0]);
    if (branch && branch->txn.coordinator == coordinator) ++count;
  }
  return count;
}

void PostgresHarness::StopServer() { own_->Stop(); }

void PostgresHarness::StartServer() {
  own_->Start();
  judge_ = std::make_unique<PlainPostgres>(options_.conninfo);
}

}  // namespace assent
