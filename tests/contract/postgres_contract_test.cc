#include "tests/contract/participant_contract.h"
#include "tests/contract/postgres_harness.h"

namespace assent {
namespace {

const ContractParameters kPostgres = {
    .shared = [](std::string& why_not) { return PostgresHarness::OnSharedServer(why_not); },
    .owned = [](std::string& why_not) { return PostgresHarness::OnOwnServer(why_not); }};

}  // namespace

INSTANTIATE_TEST_SUITE_P(Postgres, ParticipantContract, ::testing::Values(kPostgres),
                         [](const auto&) { return "SharedServer"; });
INSTANTIATE_TEST_SUITE_P(Postgres, ParticipantOutageContract, ::testing::Values(kPostgres),
                         [](const auto&) { return "OwnServer"; });

}  // namespace assent
