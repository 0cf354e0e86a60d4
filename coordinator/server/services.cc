#include "coordinator/server/services.h"

#include "absl/strings/str_cat.h"
#include "coordinator/server/unary_call.h"

namespace assent {
namespace {

// For the two calls that carry work. gRPC's own bound is higher (server.cc) and says less.
absl::Status TooLarge(std::uint64_t bytes, std::uint64_t max_request_bytes) {
  return absl::ResourceExhaustedError(absl::StrCat(
      "the request is of ", bytes, " bytes, more than transactions.max_request_bytes = ", max_request_bytes,
      "; send less work in one transaction, or raise that option of assentd"));
}

}  // namespace

template <typename Request, typename Response>
grpc::ServerUnaryReactor* CoordinatorService::ParseAndHand(void (Engine::*method)(Request, Reply<Response>),
                                                           const grpc::ByteBuffer* bytes, grpc::ByteBuffer* response) {
  if (bytes->Length() > max_request_bytes_) {
    return Refuse<Response>(TooLarge(bytes->Length(), max_request_bytes_), response);
  }
  Request request;
  grpc::ByteBuffer readable(*bytes);  // shares the bytes; reading consumes its hold on them
  if (!grpc::SerializationTraits<Request>::Deserialize(&readable, &request).ok()) {
    return Refuse<Response>(
        absl::InvalidArgumentError(absl::StrCat(
            "the request is no valid ", std::string(Request::descriptor()->full_name()),
            ": a string field holds bytes that are not UTF-8 (send those as bytes), or the message is malformed")),
        response);
  }
  return Hand(calls_, engine_, method, std::move(request), response);
}

grpc::ServerUnaryReactor* CoordinatorService::Begin(grpc::CallbackServerContext*, const v1::BeginRequest* request,
                                                    v1::BeginResponse* response) {
  return Forward(calls_, engine_, &Engine::Begin, request, response);
}

grpc::ServerUnaryReactor* CoordinatorService::Enlist(grpc::CallbackServerContext*, const v1::EnlistRequest* request,
                                                     v1::EnlistResponse* response) {
  return Forward(calls_, engine_, &Engine::Enlist, request, response);
}

grpc::ServerUnaryReactor* CoordinatorService::Execute(grpc::CallbackServerContext*, const grpc::ByteBuffer* request,
                                                      grpc::ByteBuffer* response) {
  return ParseAndHand(&Engine::Execute, request, response);
}

grpc::ServerUnaryReactor* CoordinatorService::Commit(grpc::CallbackServerContext*, const v1::CommitRequest* request,
                                                     v1::CommitResponse* response) {
  return Forward(calls_, engine_, &Engine::Commit, request, response);
}

grpc::ServerUnaryReactor* CoordinatorService::Abort(grpc::CallbackServerContext*, const v1::AbortRequest* request,
                                                    v1::AbortResponse* response) {
  return Forward(calls_, engine_, &Engine::Abort, request, response);
}

grpc::ServerUnaryReactor* CoordinatorService::Submit(grpc::CallbackServerContext*, const grpc::ByteBuffer* request,
                                                     grpc::ByteBuffer* response) {
  return ParseAndHand(&Engine::Submit, request, response);
}

grpc::ServerUnaryReactor* CoordinatorService::GetTransaction(grpc::CallbackServerContext*,
                                                             const v1::GetTransactionRequest* request,
                                                             v1::TransactionDescription* response) {
  return Forward(calls_, engine_, &Engine::GetTransaction, request, response);
}

grpc::ServerUnaryReactor* AdminService::ListTransactions(grpc::CallbackServerContext*,
                                                         const v1::ListTransactionsRequest* request,
                                                         v1::ListTransactionsResponse* response) {
  return Forward(calls_, engine_, &Engine::ListTransactions, request, response);
}

grpc::ServerUnaryReactor* AdminService::DescribeTransaction(grpc::CallbackServerContext*,
                                                            const v1::DescribeTransactionRequest* request,
                                                            v1::TransactionDescription* response) {
  return Forward(calls_, engine_, &Engine::DescribeTransaction, request, response);
}

}  // namespace assent
