// SIGKILL of assentd at random moments under load: after each restart everybody agrees, and nothing stays in doubt.

#include <gtest/gtest.h>

#include <chrono>
#include <iostream>
#include <random>
#include <thread>

#include "tests/integration/assentd_process.h"
#include "tests/integration/load.h"

namespace assent::integration {
namespace {

constexpr int kKills = 20;
constexpr int kClients = 32;
constexpr int kLongestLifeMs = 600;  // of an assentd, from its start to its kill

TEST(KillTest, AfterTwentyKillsEverybodyAgreesAndNothingIsInDoubt) {
  const Stores stores;
  Assentd assentd(PostgresParticipant("orders-db", stores.orders.conninfo()) +
                  PostgresParticipant("stock-db", stores.stock.conninfo()) + KafkaParticipant("events"));
  ASSERT_TRUE(assentd.Start());
  const unsigned seed = std::random_device()();
  std::cout << "seed " << seed << "\n";
  std::mt19937 random(seed);
  Load load(assentd.address(), stores, kClients, absl::Seconds(5));
  for (int i = 0; i < kKills; ++i) {
    // A random moment is the point here; no condition is waited for.
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % kLongestLifeMs));
    assentd.Kill();
    ASSERT_TRUE(assentd.Start()) << "after kill " << i + 1;
  }
  load.Stop();
  EXPECT_GT(load.acknowledged_so_far(), 10u * kKills) << "there was a load";
  load.ExpectAgreement(stores);
}

}  // namespace
}  // namespace assent::integration
