#pragma once

#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "assent/outcome.h"
#include "client/connection.h"
#include "client/status_details.h"

namespace assent {
inline namespace client {

// One call, repeated until it is answered or `give_up` has passed (on the connection's timer).
//
// Owner: itself, by the attempt or the pause that is in progress. `done` runs once, on a thread of gRPC's or of the
// timer's. A call that gives up answers UNAVAILABLE with `about` as its failure: unknown, and what to ask for.
template <typename Request, typename Response>
class RetryingCall : public std::enable_shared_from_this<RetryingCall<Request, Response>> {
 public:
  using Method = void (v1::Coordinator::StubInterface::async_interface::*)(grpc::ClientContext*, const Request*,
                                                                           Response*,
                                                                           std::function<void(grpc::Status)>);
  using Done = absl::AnyInvocable<void(absl::StatusOr<Response>)>;

  static void Start(std::shared_ptr<Connection> connection, Method method, Request request, absl::Duration give_up,
                    TransactionFailure about, Done done) {
    if (!connection->unusable().ok()) return done(connection->unusable());
    auto call = std::shared_ptr<RetryingCall>(new RetryingCall(std::move(connection), method, std::move(request),
                                                               give_up, std::move(about), std::move(done)));
    call->Attempt();
  }

 private:
  RetryingCall(std::shared_ptr<Connection> connection, Method method, Request request, absl::Duration give_up,
               TransactionFailure about, Done done)
      : connection_(std::move(connection)),
        method_(method),
        request_(std::move(request)),
        give_up_(give_up),
        about_(std::move(about)),
        done_(std::move(done)) {}

  void Attempt() {
    ++attempts_;
    response_ = Response();
    context_ = std::make_unique<grpc::ClientContext>();
    const absl::Duration left = give_up_ - connection_->timer().Now();
    const absl::Duration patience = std::min(left, connection_->options().retry.attempt_timeout);
    context_->set_deadline(absl::ToChronoTime(absl::Now() + std::max(patience, absl::Milliseconds(1))));
    (connection_->stub()->*method_)(
        context_.get(), &request_, &response_, [self = this->shared_from_this()](const grpc::Status& status) mutable {
          RunInScope(std::move(self), [&](RetryingCall& call) { call.Answered(FromGrpcStatus(status)); });
        });
  }

  void Answered(const absl::Status& status) {
    if (status.ok()) return done_(std::move(response_));
    // An earlier attempt may still be on its way, and may be taken where this one was not.
    const bool is_final = !IsUnanswered(status) && !(attempts_ > 1 && IsRefusedForNow(status));
    if (is_final) return done_(status);
    const absl::Duration delay = connection_->RetryDelay(attempts_);
    if (connection_->timer().Now() + delay >= give_up_) return done_(GivenUp(status));
    connection_->timer().RunAfter(delay, [self = this->shared_from_this()]() mutable {
      RunInScope(std::move(self), [](RetryingCall& call) { call.Attempt(); });
    });
  }

  // The call, and perhaps the connection with it, ends inside the scope.
  template <typename Step>
  static void RunInScope(std::shared_ptr<RetryingCall> self, const Step& step) {
    const std::shared_ptr<RunningCallbacks> callbacks = self->connection_->callbacks();
    const CallbackScope scope(*callbacks);
    step(*self);
    self.reset();
  }

  absl::Status GivenUp(const absl::Status& last) {
    std::string which;
    if (!about_.txn_id.empty()) {
      which = absl::StrCat(" about transaction ", about_.txn_id);
    } else if (!about_.request_id.empty()) {
      which = absl::StrCat(" about request_id ", about_.request_id);
    }
    about_.reason = absl::StrCat("the outcome is unknown: ", attempts_, " attempts brought no answer", which,
                                 " from the coordinator at ", connection_->options().address,
                                 "; ask it later. The last attempt: ", absl::StatusCodeToString(last.code()), ": ",
                                 std::string(last.message()));
    absl::Status status = absl::UnavailableError(about_.reason);
    AttachFailure(about_, status);
    return status;
  }

  const std::shared_ptr<Connection> connection_;
  const Method method_;
  const Request request_;
  const absl::Duration give_up_;
  TransactionFailure about_;
  Done done_;
  int attempts_ = 0;
  Response response_;
  std::unique_ptr<grpc::ClientContext> context_;
};

}  // namespace client
}  // namespace assent
