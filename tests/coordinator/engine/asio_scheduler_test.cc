#include "coordinator/engine/asio_scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace assent {
namespace {

TEST(AsioSchedulerTest, TimersRunInOrderOfTheirTimesAndCancelledOnesDoNot) {
  boost::asio::io_context loop;
  AsioScheduler scheduler(loop);
  std::vector<int> ran;
  // Far enough apart for a machine that is busy between two of these lines.
  scheduler.After(absl::Milliseconds(500), [&] { ran.push_back(2); });
  const auto cancelled = scheduler.After(absl::Milliseconds(100), [&] { ran.push_back(99); });
  scheduler.After(absl::Milliseconds(5), [&] {
    ran.push_back(1);
    scheduler.After(absl::Milliseconds(1000), [&] { ran.push_back(3); });
  });
  scheduler.Cancel(cancelled);
  scheduler.Cancel(12345);
  loop.run();
  EXPECT_THAT(ran, testing::ElementsAre(1, 2, 3));
}

TEST(AsioSchedulerTest, PostMayComeFromAnyThread) {
  boost::asio::io_context loop;
  AsioScheduler scheduler(loop);
  int count = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 1000; ++n) scheduler.Post([&] { ++count; });
    });
  }
  for (std::thread& thread : threads) thread.join();
  loop.run();
  EXPECT_EQ(count, 4000);
}

}  // namespace
}  // namespace assent
