#pragma once

#include <functional>
#include <future>
#include <utility>

namespace assent {
inline namespace client {

// The blocking form of a call: starts it and waits for what its callback gets.
template <typename Result, typename Start>
Result Await(Start start) {
  auto promise = std::make_shared<std::promise<Result>>();
  std::future<Result> answer = promise->get_future();
  start([promise = std::move(promise)](Result result) { promise->set_value(std::move(result)); });
  return answer.get();
}

}  // namespace client
}  // namespace assent
