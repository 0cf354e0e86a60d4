#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "tests/simulation/network.h"
#include "tests/simulation/process.h"

namespace assent::simulation {

// The calls that one side makes over the network. Each is answered once: by the first answer that comes, or by nothing
// when its time is up. Which of "never arrived", "did nothing" and "did it" nothing means, the caller cannot know.
class RemoteCalls {
 public:
  // `process` makes the calls; null for who never dies.
  RemoteCalls(EventQueue& queue, Network& network, Network::Machine from, ProcessPtr process)
      : queue_(queue), network_(network), from_(from), process_(std::move(process)) {}

  template <typename Answer>
  using Serve = std::function<void(std::function<void(Answer)> reply)>;  // runs at the other machine, perhaps twice

  template <typename Answer>
  void Call(Network::Machine to, absl::Duration patience, Serve<Answer> serve,
            absl::AnyInvocable<void(std::optional<Answer>)> done,
            Network::Copies copies = Network::Copies::kMayBeMore) {
    if (process_ && !process_->MayAct()) return;
    struct Pending {
      absl::AnyInvocable<void(std::optional<Answer>)> done;
      ProcessPtr process;
      void Finish(std::optional<Answer> answer) {
        if (!done || (process && !process->is_alive())) return;
        std::exchange(done, nullptr)(std::move(answer));
      }
    };
    const auto pending = std::make_shared<Pending>(Pending{std::move(done), process_});
    queue_.After(patience, [pending] { pending->Finish(std::nullopt); });
    network_.Send(
        from_, to,
        [&network = network_, from = from_, to, serve = std::move(serve), pending] {
          serve([&network, from, to, pending](Answer answer) {
            network.Send(to, from, [pending, answer] { pending->Finish(answer); });
          });
        },
        copies);
  }

 private:
  EventQueue& queue_;
  Network& network_;
  const Network::Machine from_;
  const ProcessPtr process_;
};

}  // namespace assent::simulation
