// SIGKILL of assentd at each failpoint, under load: independent readers agree within seconds of the restart.
#include <gtest/gtest.h>

#include <chrono>
#include <iostream>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base/failpoint.h"
#include "tests/crash/coordinator_under_load.h"

namespace assent {

void PrintTo(Failpoint failpoint, std::ostream* out) { *out << Name(failpoint); }

namespace integration {
namespace {

// Those that a process reaches only once, when it starts: what they are about is what an earlier process has left.
bool IsOfStart(Failpoint failpoint) {
  return failpoint <= Failpoint::kTakeOverBegins || failpoint == Failpoint::kSweepEnds;
}

// One coordinator for all failpoints, and what it works on.
struct World : CoordinatorUnderLoad {
  std::map<Failpoint, int> kills;
};

class CrashTest : public testing::TestWithParam<Failpoint> {
 protected:
  static void SetUpTestSuite() { world_ = new World; }
  static void TearDownTestSuite() {
    world_->Stop();
    for (const auto& [failpoint, kills] : world_->kills) {
      std::cout << kills << " kills at " << Name(failpoint) << "\n";
    }
    delete std::exchange(world_, nullptr);
  }

  // From here on it is as after a crash.
  static bool CrashAt(Failpoint failpoint, int times) {
    ++world_->kills[failpoint];
    return world_->CrashAt(std::string(Name(failpoint)), times);
  }

  static World* world_;
};

World* CrashTest::world_ = nullptr;

TEST_P(CrashTest, EverybodyAgreesSoonAfterTheRestart) {
  const Failpoint failpoint = GetParam();
  const unsigned seed = std::random_device()();
  std::mt19937 random(seed);
  for (int round = 0; round < Rounds(); ++round) {
    if (IsOfStart(failpoint)) {
      // Decided, and not finished; or prepared, and not decided.
      const Failpoint before =
          failpoint == Failpoint::kSweepEnds ? Failpoint::kVoteReturned : Failpoint::kDecisionDurable;
      ASSERT_TRUE(CrashAt(before, kClients));
    }
    const int times = IsOfStart(failpoint) ? 1 : 1 + static_cast<int>(random() % 40);
    SCOPED_TRACE("killed the " + std::to_string(times) + ". time, round " + std::to_string(round + 1));
    ASSERT_TRUE(CrashAt(failpoint, times));
    ASSERT_TRUE(world_->assentd.Start());
    const auto served = std::chrono::steady_clock::now();
    ExpectAgreementSoonAfter(served, world_->load, world_->stores);
    if (HasFailure()) break;
  }
}

std::vector<Failpoint> AllFailpoints() {
  std::vector<Failpoint> all;
  for (int i = 0; i < kFailpoints; ++i) all.push_back(static_cast<Failpoint>(i));
  return all;
}

INSTANTIATE_TEST_SUITE_P(AtEachFailpoint, CrashTest, testing::ValuesIn(AllFailpoints()),
                         [](const auto& test) { return std::string(Name(test.param)); });

}  // namespace
}  // namespace integration
}  // namespace assent
