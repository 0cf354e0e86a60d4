#pragma once

#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "coordinator/engine/engine.h"
#include "coordinator/server/calls_in_progress.h"
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
  // `response` is gRPC's and lives until OnDone(). `calls` counts the call until then; null where it is not counted.
  static std::shared_ptr<UnaryCall> Start(CallsInProgress* calls, grpc::ByteBuffer* response) {
    auto call = std::shared_ptr<UnaryCall>(new UnaryCall(calls, response));
    call->self_ = call;
    return call;
  }

  void Answer(absl::StatusOr<Response> answer) {
    if (ended_.exchange(true)) return;
    if (!answer.ok()) return Finish(ToGrpcStatus(answer.status()));
    bool own_buffer = false;
    Finish(grpc::SerializationTraits<Response>::Serialize(*answer, response_, &own_buffer));
  }

  void OnCancel() override {
    if (!ended_.exchange(true)) Finish(grpc::Status(grpc::StatusCode::CANCELLED, "the caller stopped waiting"));
  }

  void OnDone() override {
    if (calls_ != nullptr) calls_->Remove();
    self_.reset();
  }

 private:
  UnaryCall(CallsInProgress* calls, grpc::ByteBuffer* response) : calls_(calls), response_(response) {}

  CallsInProgress* const calls_;
  grpc::ByteBuffer* const response_;
  std::atomic<bool> ended_ = false;
  std::shared_ptr<UnaryCall> self_;
};

// A reactor that has answered already.
template <typename Response>
grpc::ServerUnaryReactor* Refuse(const absl::Status& status, grpc::ByteBuffer* response) {
  const auto call = UnaryCall<Response>::Start(nullptr, response);
  call->Answer(status);
  return call.get();
}

// Hands a request to one of the engine's calls and answers the reactor that gRPC waits for.
template <typename Request, typename Response>
grpc::ServerUnaryReactor* Hand(CallsInProgress& calls, Engine& engine, void (Engine::*method)(Request, Reply<Response>),
                               Request request, grpc::ByteBuffer* response) {
  if (const absl::Status taken = calls.Add(); !taken.ok()) return Refuse<Response>(taken, response);
  auto call = UnaryCall<Response>::Start(&calls, response);
  grpc::ServerUnaryReactor* reactor = call.get();
  (engine.*method)(std::move(request),
                   [call = std::move(call)](absl::StatusOr<Response> answer) { call->Answer(std::move(answer)); });
  return reactor;
}

}  // namespace assent
