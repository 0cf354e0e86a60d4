// Connections that are cut at each message of the protocol, before it, within it, and before its answer: independent
// readers agree, and nothing is left in doubt.
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/crash/cutting_proxy.h"
#include "tests/crash/proxied_kafka.h"
#include "tests/integration/assentd_process.h"
#include "tests/integration/await.h"
#include "tests/integration/load.h"

namespace assent::integration {
namespace {

constexpr int kClients = 8;
constexpr int kRejectedEvery = 4;  // orders
constexpr int kTimes = 4;
constexpr std::size_t kOrdersAfterwards = 10;

enum class Server { kPostgres, kKafka };

// A request, by the text or by the API key that it has.
struct Message {
  std::string name;
  Server server;
  std::string sql;
  std::int16_t api_key = -1;
};

void PrintTo(const Message& message, std::ostream* out) { *out << message.name; }

const std::vector<Message>& Messages() {
  static const std::vector<Message> messages = {
      {"Insert", Server::kPostgres, "INSERT INTO"},
      {"Prepare", Server::kPostgres, "PREPARE TRANSACTION"},
      {"CommitPrepared", Server::kPostgres, "COMMIT PREPARED"},
      {"RollbackPrepared", Server::kPostgres, "ROLLBACK PREPARED"},
      {"ListPrepared", Server::kPostgres, "pg_prepared_xacts"},
      {"Produce", Server::kKafka, "", 0},
      {"EndTxn", Server::kKafka, "", 26},
  };
  return messages;
}

std::uint16_t PortIn(const std::string& conninfo) {
  return static_cast<std::uint16_t>(std::stoi(conninfo.substr(conninfo.find("port=") + 5)));
}

std::string WithPort(const std::string& conninfo, int port) { return conninfo + " port=" + std::to_string(port); }

struct World {
  int postgres_port = FreePort();
  CuttingProxy postgres{static_cast<std::uint16_t>(postgres_port), PortIn(PostgresServer()), LengthOfPostgresRequest};
  ProxiedKafka kafka;
  Stores stores{PostgresServer(), kafka.address()};
  Assentd assentd{PostgresParticipant("orders-db", WithPort(stores.orders.conninfo(), postgres_port)) +
                      PostgresParticipant("stock-db", WithPort(stores.stock.conninfo(), postgres_port)) +
                      KafkaParticipant("events", kafka.address()),
                  "[transactions]\nsweep_interval = \"1s\"\n"};
  Load load{assentd.address(), stores, kClients, absl::Seconds(5), kRejectedEvery};
};

class CutConnectionTest : public testing::TestWithParam<std::tuple<Message, Cut>> {
 protected:
  static void SetUpTestSuite() {
    world_ = new World;
    ASSERT_EQ(world_->kafka.failure(), "");
    ASSERT_TRUE(world_->assentd.Start());
  }
  static void TearDownTestSuite() {
    world_->load.Stop();
    delete std::exchange(world_, nullptr);
  }

  static World* world_;
};

World* CutConnectionTest::world_ = nullptr;

TEST_P(CutConnectionTest, EverybodyAgreesAndNothingIsInDoubt) {
  const auto& [message, cut] = GetParam();
  world_->load.Resume();
  CuttingProxy& proxy = message.server == Server::kPostgres ? world_->postgres : world_->kafka.proxy();
  const auto is_it = [message = message](std::string_view request) {
    if (message.server == Server::kKafka) return KafkaApiKeyOf(request) == message.api_key;
    return request.find(message.sql) != std::string_view::npos;
  };
  // Of a Submit the work goes in the same round trip, and is lost too.
  for (int times = 0; times < kTimes; ++times) {
    proxy.CutNext(is_it, cut);
    ASSERT_TRUE(Await([&] { return proxy.has_cut(); })) << "no such request came";
    const std::size_t before = world_->load.acknowledged_so_far();
    ASSERT_TRUE(Await([&] { return world_->load.acknowledged_so_far() >= before + kOrdersAfterwards; }));
  }
  world_->load.Pause();
  world_->load.ExpectAgreement(world_->stores);
}

INSTANTIATE_TEST_SUITE_P(
    At, CutConnectionTest,
    testing::Combine(testing::ValuesIn(Messages()),
                     testing::Values(Cut::kBeforeTheRequest, Cut::kWithinTheRequest, Cut::kBeforeTheAnswer)),
    [](const auto& test) { return std::get<Message>(test.param).name + NameOf(std::get<Cut>(test.param)); });

}  // namespace
}  // namespace assent::integration
