#include "participants/postgres/server_findings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace assent::postgres {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

ServerSettings Sound() { return {.max_prepared_transactions = 100, .synchronous_commit = "on"}; }

TEST(ServerFindingsTest, ASoundServerGivesNone) {
  EXPECT_THAT(FindingsOf(Sound()), IsEmpty());
  EXPECT_THAT(FindingsOfRoom(100, 79, 16), IsEmpty());
}

TEST(ServerFindingsTest, EachSettingThatEndangersAtomicityIsNamedWithItsFix) {
  ServerSettings no_fsync = Sound();
  no_fsync.fsync = false;
  ServerSettings no_full_pages = Sound();
  no_full_pages.full_page_writes = false;
  ServerSettings asynchronous = Sound();
  asynchronous.synchronous_commit = "local";
  ServerSettings none_prepared = Sound();
  none_prepared.max_prepared_transactions = 0;
  const std::pair<ServerSettings, const char*> kBad[] = {{no_fsync, "fsync"},
                                                         {no_full_pages, "full_page_writes"},
                                                         {asynchronous, "synchronous_commit"},
                                                         {none_prepared, "max_prepared_transactions"}};
  for (const auto& [settings, name] : kBad) {
    const auto findings = FindingsOf(settings);
    ASSERT_THAT(findings, SizeIs(1)) << name;
    EXPECT_THAT(findings[0].what() + findings[0].fix(), HasSubstr(name));
    EXPECT_THAT(findings[0].fix(), testing::Not(IsEmpty()));
  }
}

TEST(ServerFindingsTest, LittleRoomForPreparedTransactionsIsFoundBeforeThereIsNone) {
  ASSERT_THAT(FindingsOfRoom(100, 80, 16), SizeIs(1));
  EXPECT_THAT(FindingsOfRoom(100, 80, 16)[0].what(), HasSubstr("80 of max_prepared_transactions = 100 are taken"));
  ASSERT_THAT(FindingsOfRoom(10, 0, 16), SizeIs(1));
  EXPECT_THAT(FindingsOfRoom(10, 0, 16)[0].what(), HasSubstr("less than this participant's max_connections = 16"));
  EXPECT_THAT(FindingsOfRoom(0, 0, 16), IsEmpty()) << "a finding of the settings";
}

}  // namespace
}  // namespace assent::postgres
