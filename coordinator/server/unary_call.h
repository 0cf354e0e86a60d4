#pragma once

#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "coordinator/engine/engine.h"
#include "coordinator/server/grpc_status.h"

namespace assent {

// One call in progress: waits for the engine's answer without holding a thread.
//
// Owner: two at a time. gRPC's share ends with OnDone(), the engine's when its reply has run or was dropped. Thread:
// the answer comes on a shard's thread, a cancellation on gRPC's; whichever is first ends the call, and the other finds
// it ended. A cancellation ends the waiting only: the engine goes on with the transaction.
template <typename Response>
class UnaryCall final : public grpc::ServerUnaryReactor {
 public:
  // `response` is gRPC's and lives until OnDone().
  static std::shared_ptr<UnaryCall> Start(Response* response) {
    auto call = std::shared_ptr<UnaryCall>(new UnaryCall(response));
    call->self_ = call;
    return call;
  }

  void Answer(absl::StatusOr<Response> answer) {
    if (ended_.exchange(true)) return;
    if (answer.ok()) *response_ = *std::move(answer);
    Finish(ToGrpcStatus(answer.status()));
  }

  void OnCancel() override {
    if (!ended_.exchange(true)) Finish(grpc::Status(grpc::StatusCode::CANCELLED, "the caller stopped waiting"));
  }

  void OnDone() override { self_.reset(); }

 private:
  explicit UnaryCall(Response* response) : response_(response) {}

  Response* const response_;
  std::atomic<bool> ended_ = false;
  std::shared_ptr<UnaryCall> self_;
};

// Hands a request to one of the engine's calls and answers the reactor that gRPC waits for.
//
// The request is moved from: gRPC passes the message that it has made for this call, and reads it no more.
template <typename Request, typename Response>
grpc::ServerUnaryReactor* Forward(Engine& engine, void (Engine::*method)(Request, Reply<Response>),
                                  const Request* request, Response* response) {
  auto call = UnaryCall<Response>::Start(response);
  grpc::ServerUnaryReactor* reactor = call.get();
  (engine.*method)(std::move(*const_cast<Request*>(request)),
                   [call = std::move(call)](absl::StatusOr<Response> answer) { call->Answer(std::move(answer)); });
  return reactor;
}

}  // namespace assent
