#pragma once

#include <cstdint>

#include "assent/v1/admin.grpc.pb.h"
#include "assent/v1/coordinator.grpc.pb.h"
#include "coordinator/engine/engine.h"
#include "coordinator/server/calls_in_progress.h"

namespace assent {

// What both services stand on. All outlive them.
struct ServiceSurroundings {
  Engine& engine;
  CallsInProgress& calls;
  // Of one request; more are refused with RESOURCE_EXHAUSTED.
  std::uint64_t max_request_bytes;
  std::uint32_t max_operations;
};

namespace raw {

using Reactor = grpc::ServerUnaryReactor;
using Context = grpc::CallbackServerContext;
using Bytes = grpc::ByteBuffer;

// Every method is taken as bytes and parsed by us: what gRPC cannot parse, such as text that is not UTF-8, it would
// answer with UNIMPLEMENTED and no word.
template <template <typename> typename... Methods>
struct Stacked;
template <template <typename> typename Method, template <typename> typename... Rest>
struct Stacked<Method, Rest...> {
  template <typename Service>
  using On = Method<typename Stacked<Rest...>::template On<Service>>;
};
template <>
struct Stacked<> {
  template <typename Service>
  using On = Service;
};

using Coordinator =
    Stacked<v1::Coordinator::WithRawCallbackMethod_Begin, v1::Coordinator::WithRawCallbackMethod_Enlist,
            v1::Coordinator::WithRawCallbackMethod_Execute, v1::Coordinator::WithRawCallbackMethod_Commit,
            v1::Coordinator::WithRawCallbackMethod_Abort, v1::Coordinator::WithRawCallbackMethod_Submit,
            v1::Coordinator::WithRawCallbackMethod_GetTransaction>::On<v1::Coordinator::Service>;

using Admin =
    Stacked<v1::Admin::WithRawCallbackMethod_ListTransactions, v1::Admin::WithRawCallbackMethod_DescribeTransaction,
            v1::Admin::WithRawCallbackMethod_ListParticipants, v1::Admin::WithRawCallbackMethod_ListAudit,
            v1::Admin::WithRawCallbackMethod_ResolveBranch,
            v1::Admin::WithRawCallbackMethod_Recover>::On<v1::Admin::Service>;

}  // namespace raw

// assent.v1.Coordinator over an engine. gRPC's callback API: a handler hands the request over and returns; it never
// blocks, because this gRPC runs all handlers on a few threads.
class CoordinatorService final : public raw::Coordinator {
 public:
  explicit CoordinatorService(const ServiceSurroundings& surroundings) : env_(surroundings) {}

  raw::Reactor* Begin(raw::Context*, const raw::Bytes* request, raw::Bytes* response) override;
  raw::Reactor* Enlist(raw::Context*, const raw::Bytes* request, raw::Bytes* response) override;
  raw::Reactor* Execute(raw::Context*, const raw::Bytes* request, raw::Bytes* response) override;
  raw::Reactor* Commit(raw::Context*, const raw::Bytes* request, raw::Bytes* response) override;
  raw::Reactor* Abort(raw::Context*, const raw::Bytes* request, raw::Bytes* response) override;
  raw::Reactor* Submit(raw::Context*, const raw::Bytes* request, raw::Bytes* response) override;
  raw::Reactor* GetTransaction(raw::Context*, const raw::Bytes* request, raw::Bytes* response) override;

 private:
  const ServiceSurroundings env_;
};

// assent.v1.Admin over an engine, in the same way.
class AdminService final : public raw::Admin {
 public:
  explicit AdminService(const ServiceSurroundings& surroundings) : env_(surroundings) {}

  raw::Reactor* ListTransactions(raw::Context*, const raw::Bytes* request, raw::Bytes* response) override;
  raw::Reactor* DescribeTransaction(raw::Context*, const raw::Bytes* request, raw::Bytes* response) override;
  raw::Reactor* ListParticipants(raw::Context*, const raw::Bytes* request, raw::Bytes* response) override;
  raw::Reactor* ListAudit(raw::Context*, const raw::Bytes* request, raw::Bytes* response) override;
  raw::Reactor* ResolveBranch(raw::Context*, const raw::Bytes* request, raw::Bytes* response) override;
  raw::Reactor* Recover(raw::Context*, const raw::Bytes* request, raw::Bytes* response) override;

 private:
  const ServiceSurroundings env_;
};

}  // namespace assent
