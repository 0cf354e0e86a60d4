#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "participants/kafka/cluster.h"
#include "participants/kafka/error_codes.h"

namespace assent::kafka {

// How long, and against what, a request to a coordinator is repeated.
struct Persistence {
  absl::Duration patience;
  // Answers with CONCURRENT_TRANSACTIONS at once: for callers that can find out more.
  bool concurrent_is_an_answer = false;
  // Tells the caller of a lost answer at once, instead of repeating the request: for one that must not be carried out
  // late.
  bool loss_is_an_answer = false;
};

// One request to the coordinator of its transactional id: finds the coordinator, and repeats what may be repeated.
// Every request of this client about a transactional id is idempotent.
//
// `done` gets the last answer: a code that means kRetry or kUnknown only where patience ended, and no answer at all
// where none came by then, or at once where no broker can be reached. `cluster` outlives the call, or drops it.
template <typename Request>
class CoordinatorCall : public std::enable_shared_from_this<CoordinatorCall<Request>> {
 public:
  using Response = typename Request::Response;
  using Done = absl::AnyInvocable<void(Answer<Response>)>;

  static void Start(Cluster& cluster, Request request, Persistence persistence, Done done) {
    std::make_shared<CoordinatorCall>(cluster, std::move(request), persistence, std::move(done))->Attempt();
  }

  CoordinatorCall(Cluster& cluster, Request request, Persistence persistence, Done done)
      : cluster_(cluster),
        request_(std::move(request)),
        persistence_(persistence),
        until_(cluster.clock().Monotonic() + persistence.patience),
        backoff_(cluster.options().first_backoff),
        done_(std::move(done)) {}

 private:
  void Attempt() {
    auto self = this->shared_from_this();
    Broker* coordinator = cluster_.CoordinatorOf(request_.transactional_id);
    if (coordinator == nullptr) {
      return cluster_.LookUpCoordinator(request_.transactional_id, [self](Answer<wire::FindCoordinatorResponse> found) {
        self->JudgeLookUp(std::move(found));
      });
    }
    coordinator->Call(request_, [self](Answer<Response> answer) { self->Judge(std::move(answer)); });
  }

  void JudgeLookUp(Answer<wire::FindCoordinatorResponse> found) {
    Answer<Response> answer{.delivery = lost_ ? Delivery::kLost : Delivery::kNotSent,
                            .message = std::move(found.message)};
    if (found.delivery == Delivery::kAnswered) {
      const ErrorCode& code = FindErrorCode(found.response.error_code);
      if (code.code == error::kNone) return Attempt();
      // Who may not even ask for the coordinator is refused there, too.
      if (code.meaning == ErrorMeaning::kNo) {
        answer.delivery = Delivery::kAnswered;
        answer.response.error_code = code.code;
        return done_(std::move(answer));
      }
      answer.message = ErrorOfCode(code.code,
                                   absl::StrCat("the coordinator of transactional id \"", request_.transactional_id,
                                                "\" is not found"),
                                   found.response.error_message)
                           .message;
    }
    Again(std::move(answer));
  }

  void Judge(Answer<Response> answer) {
    if (answer.delivery != Delivery::kAnswered) {
      lost_ = lost_ || answer.delivery == Delivery::kLost;
      cluster_.ForgetCoordinator(request_.transactional_id);
      if (lost_ && persistence_.loss_is_an_answer) return done_(std::move(answer));
      if (lost_) answer.delivery = Delivery::kLost;
      return Again(std::move(answer));
    }
    const ErrorCode& code = FindErrorCode(answer.response.error_code);
    if (code.refresh == Refresh::kCoordinator) cluster_.ForgetCoordinator(request_.transactional_id);
    const bool may_repeat = code.meaning == ErrorMeaning::kRetry || code.meaning == ErrorMeaning::kUnknown;
    const bool is_answer = persistence_.concurrent_is_an_answer && code.code == error::kConcurrentTransactions;
    if (!may_repeat || is_answer) return done_(std::move(answer));
    Again(std::move(answer));
  }

  void Again(Answer<Response> answer) {
    const bool nobody_there = answer.delivery != Delivery::kAnswered && !cluster_.is_up();
    if (nobody_there || cluster_.clock().Monotonic() + backoff_ > until_) return done_(std::move(answer));
    cluster_.delayed_calls().After(backoff_, [self = this->shared_from_this()] { self->Attempt(); });
    backoff_ = std::min(backoff_ * 2, cluster_.options().last_backoff);
  }

  Cluster& cluster_;
  const Request request_;
  const Persistence persistence_;
  const absl::Duration until_;
  absl::Duration backoff_;
  bool lost_ = false;  // an earlier attempt may have been carried out
  Done done_;
};

}  // namespace assent::kafka
