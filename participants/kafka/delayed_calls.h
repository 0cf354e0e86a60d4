#pragma once

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"

namespace assent::kafka {

// Runs functions later on one event loop. None runs once this object is gone.
//
// Owned by the participant, used on its shard's thread.
class DelayedCalls {
 public:
  // Names a call that has not run yet. One that has run names nothing.
  using Handle = std::weak_ptr<boost::asio::steady_timer>;

  explicit DelayedCalls(boost::asio::io_context& loop) : loop_(loop) {}

  Handle After(absl::Duration delay, absl::AnyInvocable<void()> call) {
    auto timer = std::make_shared<boost::asio::steady_timer>(loop_);
    // An endless delay would overflow the timer's clock.
    constexpr absl::Duration kLongest = absl::Hours(24 * 365);
    timer->expires_after(absl::ToChronoNanoseconds(std::clamp(delay, absl::ZeroDuration(), kLongest)));
    boost::asio::steady_timer& waiting = *timer;
    Handle handle = timer;
    waiting.async_wait([alive = std::weak_ptr<const bool>(alive_), timer = std::move(timer),
                        call = std::move(call)](const boost::system::error_code& error) mutable {
      if (!error && !alive.expired()) call();
    });
    return handle;
  }

  static void Cancel(const Handle& handle) {
    if (const auto timer = handle.lock()) timer->cancel();
  }

 private:
  boost::asio::io_context& loop_;
  std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
};

}  // namespace assent::kafka
