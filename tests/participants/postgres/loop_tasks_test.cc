#include "participants/postgres/loop_tasks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "participants/postgres/prepare_slots.h"

namespace assent::postgres {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class LoopTasksTest : public ::testing::Test {
 protected:
  boost::asio::io_context loop_;
  std::unique_ptr<LoopTasks> tasks_ = std::make_unique<LoopTasks>(loop_);
  std::vector<int> ran_;
};

TEST_F(LoopTasksTest, SoonRunsInOrderAndNeverInsideTheCall) {
  tasks_->Soon([this] {
    ran_.push_back(1);
    tasks_->Soon([this] { ran_.push_back(3); });
  });
  tasks_->Soon([this] { ran_.push_back(2); });
  EXPECT_THAT(ran_, IsEmpty());
  loop_.run();
  EXPECT_THAT(ran_, ElementsAre(1, 2, 3));
}

TEST_F(LoopTasksTest, AlarmsRunInOrderOfTheirTimesUnlessCancelled) {
  tasks_->After(absl::Milliseconds(20), [this] { ran_.push_back(20); });
  LoopTasks::AlarmId cancelled = tasks_->After(absl::Milliseconds(5), [this] { ran_.push_back(5); });
  tasks_->After(absl::Milliseconds(10), [this] { ran_.push_back(10); });
  tasks_->After(-absl::Seconds(1), [this] { ran_.push_back(0); });
  tasks_->Cancel(cancelled);
  EXPECT_EQ(cancelled, 0u);
  tasks_->Cancel(cancelled);
  loop_.run();
  EXPECT_THAT(ran_, ElementsAre(0, 10, 20));
}

TEST_F(LoopTasksTest, NothingRunsAfterTheEnd) {
  tasks_->Soon([this] { tasks_.reset(); });
  tasks_->Soon([this] { ran_.push_back(1); });
  tasks_->After(absl::ZeroDuration(), [this] { ran_.push_back(2); });
  loop_.run();
  EXPECT_THAT(ran_, IsEmpty());
}

class PrepareSlotsTest : public LoopTasksTest {
 protected:
  std::int64_t limit_ = 1;
  PrepareSlots slots_{*tasks_, [this] { return limit_; }};
};

TEST_F(PrepareSlotsTest, WhoWaitsGetsTheSlotThatIsGivenBack) {
  ASSERT_TRUE(slots_.TryTake());
  ASSERT_FALSE(slots_.TryTake());
  slots_.Wait(absl::Hours(1), [this](bool granted) { ran_.push_back(granted); });
  EXPECT_FALSE(slots_.TryTake());
  slots_.GiveBack();
  EXPECT_THAT(ran_, ElementsAre(1));
  EXPECT_EQ(slots_.taken(), 1);
}

TEST_F(PrepareSlotsTest, WaitingEndsWithThePatience) {
  ASSERT_TRUE(slots_.TryTake());
  slots_.Wait(absl::Milliseconds(1), [this](bool granted) { ran_.push_back(granted); });
  loop_.run();
  EXPECT_THAT(ran_, ElementsAre(0));
  EXPECT_EQ(slots_.taken(), 1);
}

TEST_F(PrepareSlotsTest, AWaiterThatLeftIsNotGranted) {
  ASSERT_TRUE(slots_.TryTake());
  PrepareSlots::WaiterId waiter = slots_.Wait(absl::Hours(1), [this](bool granted) { ran_.push_back(granted); });
  slots_.CancelWaiter(waiter);
  slots_.GiveBack();
  EXPECT_THAT(ran_, IsEmpty());
  EXPECT_EQ(slots_.taken(), 0);
}

TEST_F(PrepareSlotsTest, AnUnknownLimitIsNone) {
  limit_ = -1;
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(slots_.TryTake());
}

}  // namespace
}  // namespace assent::postgres
