#pragma once

#include <memory>
#include <string>
#include <utility>

#include "coordinator/engine/answer.h"
#include "tests/simulation/coordinator_process.h"
#include "tests/simulation/judge.h"
#include "tests/simulation/network.h"

namespace assent::simulation {

// What an answer says of the outcome of its transaction: UNSPECIFIED where it says nothing.
struct Said {
  std::string txn_id;
  v1::Outcome outcome = v1::OUTCOME_UNSPECIFIED;
};
Said OutcomeIn(const absl::Status& status);
Said OutcomeIn(const v1::TransactionDescription& description);
template <typename Response>
Said OutcomeIn(const absl::StatusOr<Response>& response) {
  if (!response.ok()) return OutcomeIn(response.status());
  if constexpr (std::is_same_v<Response, v1::TransactionDescription>) {
    return OutcomeIn(*response);
  } else if constexpr (requires { response->outcome(); }) {
    return {response->txn_id(), response->outcome()};
  } else {
    return {};
  }
}

// The machine that coordinators run on, one after the other: takes calls from the network, and lets the judge see each
// answer before it leaves.
class CoordinatorMachine {
 public:
  CoordinatorMachine(Network& network, Judge& judge) : judge_(judge), machine_(network.AddMachine("coordinator")) {}

  Network::Machine machine() const { return machine_; }
  std::unique_ptr<CoordinatorProcess> process;  // null while none runs

  template <typename Request, typename Response>
  void Receive(void (CoordinatorProcess::*call)(Request, Reply<Response>), const Request& request,
               std::function<void(absl::StatusOr<Response>)> reply) {
    if (process == nullptr) return;
    std::string request_id;
    if constexpr (requires { request.request_id(); }) request_id = request.request_id();
    v1::Wait wait = v1::DECIDED;
    if constexpr (requires { request.wait(); }) wait = request.wait();
    (process.get()->*call)(request,
                           [this, request_id, wait, reply = std::move(reply)](absl::StatusOr<Response> answer) {
                             const Said said = OutcomeIn(answer);
                             // A failure that tells of the commit comes at once, whatever was waited for.
                             if (said.outcome != v1::OUTCOME_UNSPECIFIED) {
                               judge_.Told(said.txn_id, request_id, said.outcome, answer.ok() ? wait : v1::DECIDED);
                             }
                             reply(std::move(answer));
                           });
  }

 private:
  Judge& judge_;
  const Network::Machine machine_;
};

}  // namespace assent::simulation
