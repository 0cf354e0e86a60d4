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

// Puts an answer where gRPC takes it from: into its message, or, of a call that is taken raw, into its bytes.
template <typename Response>
grpc::Status Store(Response answer, Response* response) {
  *response = std::move(answer);
  return grpc::Status::OK;
}
template <typename Response>
grpc::Status Store(const Response& answer, grpc::ByteBuffer* response) {
  bool own_buffer = false;
  return grpc::SerializationTraits<Response>::Serialize(answer, response, &own_buffer);
}

// One call in progress: waits for the engine's answer without holding a thread.
//
// Owner: two at a time. gRPC's share ends with OnDone(), the engine's when its reply has run or was dropped. Thread:
// the answer comes on a shard's thread, a cancellation on gRPC's; whichever is first ends the call, and the other finds
// it ended. A cancellation ends the waiting only: the engine goes on with the transaction.
// `Target` is what gRPC gives to write the answer to.
template <typename Response, typename Target = Response>
class UnaryCall final : public grpc::ServerUnaryReactor {
 public:
  // `response` is gRPC's and lives until OnDone(). `calls` counts the call until then; null where it is not counted.
  static std::shared_ptr<UnaryCall> Start(CallsInProgress* calls, Target* response) {
    auto call = std::shared_ptr<UnaryCall>(new UnaryCall(calls, response));
    call->self_ = call;
    return call;
  }

  void Answer(absl::StatusOr<Response> answer) {
    if (ended_.exchange(true)) return;
    if (!answer.ok()) return Finish(ToGrpcStatus(answer.status()));
    Finish(Store(*std::move(answer), response_));
  }

  void OnCancel() override {
    if (!ended_.exchange(true)) Finish(grpc::Status(grpc::StatusCode::CANCELLED, "the caller stopped waiting"));
  }

  void OnDone() override {
    if (calls_ != nullptr) calls_->Remove();
    self_.reset();
  }

 private:
  UnaryCall(CallsInProgress* calls, Target* response) : calls_(calls), response_(response) {}

  CallsInProgress* const calls_;
  Target* const response_;
  std::atomic<bool> ended_ = false;
  std::shared_ptr<UnaryCall> self_;
};

// A reactor that has answered already.
template <typename Response, typename Target = Response>
grpc::ServerUnaryReactor* Refuse(const absl::Status& status, Target* response) {
  const auto call = UnaryCall<Response, Target>::Start(nullptr, response);
  call->Answer(status);
  return call.get();
}

// Hands a request to one of the engine's calls and answers the reactor that gRPC waits for.
template <typename Request, typename Response, typename Target>
grpc::ServerUnaryReactor* Hand(CallsInProgress& calls, Engine& engine, void (Engine::*method)(Request, Reply<Response>),
                               Request request, Target* response) {
  if (const absl::Status taken = calls.Add(); !taken.ok()) return Refuse<Response>(taken, response);
  auto call = UnaryCall<Response, Target>::Start(&calls, response);
  grpc::ServerUnaryReactor* reactor = call.get();
  (engine.*method)(std::move(request),
                   [call = std::move(call)](absl::StatusOr<Response> answer) { call->Answer(std::move(answer)); });
  return reactor;
}

// The request is moved from: gRPC passes the message that it has made for this call, and reads it no more.
template <typename Request, typename Response>
grpc::ServerUnaryReactor* Forward(CallsInProgress& calls, Engine& engine,
                                  void (Engine::*method)(Request, Reply<Response>), const Request* request,
                                  Response* response) {
  return Hand(calls, engine, method, std::move(*const_cast<Request*>(request)), response);
}

}  // namespace assent
