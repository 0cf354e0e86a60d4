// PostgreSQL and Kafka frozen by SIGSTOP under load, for longer than every timeout, and woken: their connections stay,
// and nothing is answered. What they had received and not done they do when they wake, long after it was given up.
// Independent readers agree soon afterwards.
#include <gtest/gtest.h>
#include <sys/types.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "tests/crash/recovery.h"
#include "tests/integration/assentd_process.h"
#include "tests/integration/await.h"
#include "tests/integration/load.h"

namespace assent::integration {
namespace {

constexpr std::size_t kOrdersBetween = 50;
constexpr absl::Duration kOrderTimeout = absl::Seconds(1);
// Every timeout of assentd, less than that of an order.
constexpr const char* kTimeouts = "connect_timeout = \"500ms\"\nfinish_timeout = \"500ms\"\n";
constexpr const char* kPostgresTimeouts = "prepare_timeout = \"500ms\"\n";
constexpr const char* kKafkaTimeouts = "request_timeout = \"500ms\"\n";
constexpr std::chrono::milliseconds kFrozenFor(2500);

// "/proc/PID/stat" behind the name, which may hold anything: the state, and the parent.
std::pair<char, pid_t> StateAndParent(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  std::istringstream rest(text.substr(text.rfind(')') + 1));
  char state = ' ';
  pid_t parent = 0;
  rest >> state >> parent;
  return {state, parent};
}

std::vector<pid_t> ChildrenOf(pid_t parent) {
  std::vector<pid_t> children;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    int pid = 0;
    const bool is_process = absl::SimpleAtoi(entry.path().filename().string(), &pid);
    if (is_process && StateAndParent(pid).second == parent) children.push_back(pid);
  }
  return children;
}

pid_t ProcessNamedBy(const char* variable) {
  const char* const pid = std::getenv(variable);
  EXPECT_NE(pid, nullptr) << variable;
  return pid == nullptr ? 0 : std::atoi(pid);
}

// Processes that are stopped until it is destroyed, however a test ends.
class Frozen {
 public:
  Frozen() = default;
  ~Frozen() {
    for (const pid_t process : processes_) kill(process, SIGCONT);
  }
  Frozen(const Frozen&) = delete;
  Frozen& operator=(const Frozen&) = delete;

  void Add(pid_t process) {
    if (process <= 0 || kill(process, SIGSTOP) != 0) return;  // a backend may have ended meanwhile
    processes_.push_back(process);
    EXPECT_TRUE(Await([&] {
      const char state = StateAndParent(process).first;
      return state != 'R' && state != 'S' && state != 'D';
    }));
  }
  // With all its children. It is stopped first, so that it makes no more of them.
  void AddFamily(pid_t parent) {
    Add(parent);
    for (const pid_t child : ChildrenOf(parent)) Add(child);
  }

  std::size_t size() const { return processes_.size(); }

 private:
  std::vector<pid_t> processes_;
};

enum class Victim {
  kPostgres,
  kKafka,
  kBoth,
  kBackends,  // of assentd in one database: the server takes new connections
};

std::string NameOf(Victim victim) {
  switch (victim) {
    case Victim::kPostgres:
      return "Postgres";
    case Victim::kKafka:
      return "Kafka";
    case Victim::kBoth:
      return "PostgresAndKafka";
    case Victim::kBackends:
      return "BackendsOfOneDatabase";
  }
  return "";
}

// One coordinator, and what it works on.
struct World {
  Stores stores;
  Assentd assentd{
      PostgresParticipant("orders-db", stores.orders.conninfo(), std::string(kTimeouts) + kPostgresTimeouts) +
          PostgresParticipant("stock-db", stores.stock.conninfo(), std::string(kTimeouts) + kPostgresTimeouts) +
          KafkaParticipant("events", KafkaServer(), std::string(kTimeouts) + kKafkaTimeouts),
      "[transactions]\nsweep_interval = \"1s\"\nlast_retry = \"500ms\"\n"};
  Load load{assentd.address(), stores, kClients, kOrderTimeout, kRejectedEvery};
  std::map<Victim, int> freezes;
};

class FrozenParticipantTest : public testing::TestWithParam<Victim> {
 protected:
  static void SetUpTestSuite() {
    world_ = new World;
    ASSERT_TRUE(world_->assentd.Start());
  }
  static void TearDownTestSuite() {
    world_->load.Stop();
    for (const auto& [victim, freezes] : world_->freezes) {
      std::cout << freezes << " times frozen: " << NameOf(victim) << "\n";
    }
    delete std::exchange(world_, nullptr);
  }

  static bool AwaitOrders() {
    const std::size_t before = world_->load.acknowledged_so_far();
    return Await([&] { return world_->load.acknowledged_so_far() >= before + kOrdersBetween; });
  }

  static void Freeze(Victim victim, Frozen& frozen) {
    // A backend that is stopped at work may hold a lock of the server's own, and with it everybody.
    if (victim == Victim::kBackends) world_->load.Pause();
    if (victim == Victim::kPostgres || victim == Victim::kBoth) {
      frozen.AddFamily(ProcessNamedBy("ASSENT_TEST_POSTGRES_PID"));
    }
    if (victim == Victim::kKafka || victim == Victim::kBoth) frozen.Add(ProcessNamedBy("ASSENT_TEST_KAFKA_PID"));
    if (victim != Victim::kBackends) return;
    for (const std::string& pid :
         world_->stores.stock.Column("SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND "
                                     "application_name LIKE 'assent/%'")) {
      frozen.Add(std::stoi(pid));
    }
    world_->load.Resume();
  }

  static World* world_;
};

World* FrozenParticipantTest::world_ = nullptr;

TEST_P(FrozenParticipantTest, EverybodyAgreesSoonAfterItIsWoken) {
  for (int round = 0; round < Rounds() && !HasFailure(); ++round) {
    world_->load.Resume();
    ASSERT_TRUE(AwaitOrders());
    {
      Frozen frozen;
      Freeze(GetParam(), frozen);
      ASSERT_GT(frozen.size(), 0u);
      ++world_->freezes[GetParam()];
      const auto until = std::chrono::steady_clock::now() + kFrozenFor;
      if (GetParam() == Victim::kBackends) {
        EXPECT_TRUE(AwaitOrders()) << "what cannot end holds up nobody else";
      }
      // That every timeout has passed is the point here; no condition is waited for.
      std::this_thread::sleep_until(until);
    }
    ExpectAgreementSoonAfter(std::chrono::steady_clock::now(), world_->load, world_->stores);
  }
}

INSTANTIATE_TEST_SUITE_P(Of, FrozenParticipantTest,
                         testing::Values(Victim::kPostgres, Victim::kKafka, Victim::kBoth, Victim::kBackends),
                         [](const auto& test) { return NameOf(test.param); });

}  // namespace
}  // namespace assent::integration
