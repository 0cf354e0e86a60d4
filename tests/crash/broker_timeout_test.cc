// A broker that gives up waiting while assentd is down, and aborts what was decided to commit: its messages arrive all
// the same, exactly once, beside what went to the databases.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <iostream>
#include <random>
#include <string>
#include <utility>

#include "tests/crash/recovery.h"
#include "tests/integration/assentd_process.h"
#include "tests/integration/await.h"
#include "tests/integration/load.h"
#include "tests/participants/kafka/own_kafka.h"

namespace assent::integration {
namespace {

// A transaction may be open for a second, and is looked at often.
kafka::OwnKafkaOptions Impatient() {
  kafka::OwnKafkaOptions options;
  options.settings = {"transaction.max.timeout.ms=1000",
                      "transaction.abort.timed.out.transaction.cleanup.interval.ms=50"};
  return options;
}

// One coordinator, and what it works on.
struct World {
  kafka::OwnKafka broker{Impatient()};
  Stores stores{PostgresServer(), broker.bootstrap_server()};
  Assentd assentd{PostgresParticipant("orders-db", stores.orders.conninfo()) +
                  PostgresParticipant("stock-db", stores.stock.conninfo()) +
                  KafkaParticipant("events", broker.bootstrap_server())};
  Load load{assentd.address(), stores, kClients, absl::Seconds(5), kRejectedEvery};
  int outages = 0;
};

class BrokerTimeoutTest : public testing::TestWithParam<const char*> {
 protected:
  static void SetUpTestSuite() {
    world_ = new World;
    ASSERT_EQ(world_->broker.failure(), "");
  }
  static void TearDownTestSuite() {
    world_->load.Stop();
    const std::string log = world_->assentd.Log();
    int repaired = 0;
    for (std::size_t at = log.find(kRepaired); at != std::string::npos; at = log.find(kRepaired, at + 1)) ++repaired;
    std::cout << world_->outages << " outages of assentd, " << repaired << " branches repaired\n";
    EXPECT_GE(repaired, world_->outages);
    delete std::exchange(world_, nullptr);
  }

  static constexpr const char* kRepaired = "is repaired";
  static World* world_;
};

World* BrokerTimeoutTest::world_ = nullptr;

TEST_P(BrokerTimeoutTest, WhatWasDecidedArrivesOnce) {
  std::mt19937 random(std::random_device{}());
  for (int round = 0; round < Rounds() && !HasFailure(); ++round) {
    world_->assentd.Kill();
    world_->assentd.StartTo(GetParam(), 1 + static_cast<int>(random() % 40));
    world_->load.Resume();
    ASSERT_TRUE(world_->assentd.AwaitCrash());
    ++world_->outages;
    ASSERT_TRUE(Await([&] { return world_->stores.topic.IsStable(); })) << "the broker never gave up";
    ASSERT_TRUE(world_->assentd.Start());
    ExpectAgreementSoonAfter(std::chrono::steady_clock::now(), world_->load, world_->stores);
  }
}

// Decided, and nobody was told; or the broker is the last to be told.
INSTANTIATE_TEST_SUITE_P(KilledAt, BrokerTimeoutTest, testing::Values("decision_durable", "commit_unsent"),
                         [](const auto& test) { return std::string(test.param); });

}  // namespace
}  // namespace assent::integration
