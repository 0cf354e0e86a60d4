#pragma once

#include <cstdint>

#include "assent/v1/admin.grpc.pb.h"
#include "assent/v1/coordinator.grpc.pb.h"
#include "coordinator/engine/engine.h"
#include "coordinator/server/calls_in_progress.h"

namespace assent {

// assent.v1.Coordinator over an engine. gRPC's callback API: a handler hands the request over and returns; it never
// blocks, because this gRPC runs all handlers on a few threads. The engine and the count outlive the service.
//
// The two calls that carry work are taken as bytes and parsed here: what gRPC cannot parse, such as text that is not
// UTF-8, it would answer with UNIMPLEMENTED and no word.
class CoordinatorService final : public v1::Coordinator::WithRawCallbackMethod_Execute<
                                     v1::Coordinator::WithRawCallbackMethod_Submit<v1::Coordinator::CallbackService>> {
 public:
  // Requests of more than `max_request_bytes` are refused with RESOURCE_EXHAUSTED.
  CoordinatorService(Engine& engine, CallsInProgress& calls, std::uint64_t max_request_bytes)
      : engine_(engine), calls_(calls), max_request_bytes_(max_request_bytes) {}

  grpc::ServerUnaryReactor* Begin(grpc::CallbackServerContext* context, const v1::BeginRequest* request,
                                  v1::BeginResponse* response) override;
  grpc::ServerUnaryReactor* Enlist(grpc::CallbackServerContext* context, const v1::EnlistRequest* request,
                                   v1::EnlistResponse* response) override;
  grpc::ServerUnaryReactor* Execute(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                    grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* Commit(grpc::CallbackServerContext* context, const v1::CommitRequest* request,
                                   v1::CommitResponse* response) override;
  grpc::ServerUnaryReactor* Abort(grpc::CallbackServerContext* context, const v1::AbortRequest* request,
                                  v1::AbortResponse* response) override;
  grpc::ServerUnaryReactor* Submit(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                   grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* GetTransaction(grpc::CallbackServerContext* context,
                                           const v1::GetTransactionRequest* request,
                                           v1::TransactionDescription* response) override;

 private:
  template <typename Request, typename Response>
  grpc::ServerUnaryReactor* ParseAndHand(void (Engine::*method)(Request, Reply<Response>),
                                         const grpc::ByteBuffer* bytes, grpc::ByteBuffer* response);

  Engine& engine_;
  CallsInProgress& calls_;
  const std::uint64_t max_request_bytes_;
};

// assent.v1.Admin over an engine, in the same way.
class AdminService final : public v1::Admin::CallbackService {
 public:
  AdminService(Engine& engine, CallsInProgress& calls) : engine_(engine), calls_(calls) {}

  grpc::ServerUnaryReactor* ListTransactions(grpc::CallbackServerContext* context,
                                             const v1::ListTransactionsRequest* request,
                                             v1::ListTransactionsResponse* response) override;
  grpc::ServerUnaryReactor* DescribeTransaction(grpc::CallbackServerContext* context,
                                                const v1::DescribeTransactionRequest* request,
                                                v1::TransactionDescription* response) override;

 private:
  Engine& engine_;
  CallsInProgress& calls_;
};

}  // namespace assent
