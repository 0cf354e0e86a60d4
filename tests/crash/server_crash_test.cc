// SIGKILL of Kafka and of PostgreSQL under load, alone and together with assentd: independent readers agree within
// seconds of the restart.
#include <gtest/gtest.h>

#include <chrono>
#include <iostream>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <utility>

#include "tests/crash/recovery.h"
#include "tests/integration/assentd_process.h"
#include "tests/integration/await.h"
#include "tests/integration/load.h"
#include "tests/integration/own_servers.h"

namespace assent::integration {
namespace {

constexpr std::size_t kOrdersBetween = 50;
constexpr int kLongestLifeMs = 300;  // then

struct Victims {
  std::string name;
  std::set<ServerKind> servers;
  bool assentd = false;
};

void PrintTo(const Victims& victims, std::ostream* out) { *out << victims.name; }

// Servers of its own, one coordinator, and what it works on.
struct World {
  OwnServers servers;
  Stores stores{servers.postgres(), servers.kafka()};
  Assentd assentd{PostgresParticipant("orders-db", stores.orders.conninfo()) +
                  PostgresParticipant("stock-db", stores.stock.conninfo()) +
                  KafkaParticipant("events", servers.kafka())};
  Load load{assentd.address(), stores, kClients, absl::Seconds(5), kRejectedEvery};
};

class ServerCrashTest : public testing::TestWithParam<Victims> {
 protected:
  static void SetUpTestSuite() {
    world_ = new World;
    world_->assentd.Start();
  }
  static void TearDownTestSuite() {
    world_->load.Stop();
    delete std::exchange(world_, nullptr);
  }

  static World* world_;
};

World* ServerCrashTest::world_ = nullptr;

TEST_P(ServerCrashTest, EverybodyAgreesSoonAfterTheRestart) {
  const Victims& victims = GetParam();
  const unsigned seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  for (int round = 0; round < Rounds(); ++round) {
    world_->load.Resume();
    const std::size_t before = world_->load.acknowledged_so_far();
    ASSERT_TRUE(Await([&] { return world_->load.acknowledged_so_far() >= before + kOrdersBetween; }));
    // A random moment is the point here; no condition is waited for.
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % kLongestLifeMs));
    for (const ServerKind server : victims.servers) world_->servers.Kill(server);
    if (victims.assentd) world_->assentd.Kill();
    for (const ServerKind server : victims.servers) world_->servers.Start(server);
    if (victims.assentd) {
      ASSERT_TRUE(world_->assentd.Start());
    }
    const auto restarted = std::chrono::steady_clock::now();
    ExpectAgreementSoonAfter(restarted, world_->load, world_->stores);
    if (HasFailure()) break;
  }
}

INSTANTIATE_TEST_SUITE_P(Of, ServerCrashTest,
                         testing::Values(Victims{"Kafka", {ServerKind::kKafka}},
                                         Victims{"Postgres", {ServerKind::kPostgres}},
                                         Victims{"KafkaAndAssentd", {ServerKind::kKafka}, true},
                                         Victims{"PostgresAndAssentd", {ServerKind::kPostgres}, true},
                                         Victims{"All", {ServerKind::kKafka, ServerKind::kPostgres}, true}),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace assent::integration
