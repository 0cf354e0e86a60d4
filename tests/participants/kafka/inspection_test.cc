#include "participants/kafka/inspection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace assent::kafka {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

const BrokerSettings kSound = {{"transaction.max.timeout.ms", "2147483647"},
                               {"min.insync.replicas", "2"},
                               {"default.replication.factor", "3"},
                               {"unclean.leader.election.enable", "false"},
                               {"transaction.state.log.replication.factor", "3"},
                               {"transaction.state.log.min.isr", "2"}};

TEST(InspectionTest, ASoundBrokerAndOneThatDoesNotTellGiveNoFinding) {
  EXPECT_THAT(FindingsOf(1, kSound, {}), IsEmpty());
  EXPECT_THAT(FindingsOf(1, {}, {}), IsEmpty());
}

TEST(InspectionTest, EachSettingThatEndangersAtomicityIsNamedWithItsBrokerItsValueAndItsFix) {
  const std::pair<const char*, const char*> kBad[] = {{"transaction.max.timeout.ms", "900000"},
                                                      {"min.insync.replicas", "1"},
                                                      {"default.replication.factor", "1"},
                                                      {"unclean.leader.election.enable", "true"},
                                                      {"transaction.state.log.replication.factor", "1"},
                                                      {"transaction.state.log.min.isr", "1"}};
  for (const auto& [setting, value] : kBad) {
    BrokerSettings settings = kSound;
    settings[setting] = value;
    const std::vector<v1::Finding> findings = FindingsOf(7, settings, {});
    ASSERT_THAT(findings, SizeIs(1)) << setting;
    EXPECT_THAT(findings[0].what(), HasSubstr(std::string("broker 7 has ") + setting + " = " + value));
    EXPECT_THAT(findings[0].fix(), testing::Not(IsEmpty()));
    const bool is_unclean = std::string_view(setting).starts_with("unclean");
    EXPECT_EQ(findings[0].severity(), is_unclean ? v1::Finding::DANGER : v1::Finding::WARNING) << setting;
  }
}

TEST(InspectionTest, ATimeoutThatWasAskedToBeShorterIsNoFinding) {
  BrokerSettings settings = kSound;
  settings["transaction.max.timeout.ms"] = "900000";
  KafkaOptions options;
  options.transaction_timeout = absl::Minutes(15);
  EXPECT_THAT(FindingsOf(1, settings, options), IsEmpty());
}

}  // namespace
}  // namespace assent::kafka
