#include "coordinator/server/services.h"

#include <type_traits>

#include "absl/strings/str_cat.h"
#include "coordinator/engine/answer.h"
#include "coordinator/server/unary_call.h"

namespace assent {
namespace {

// gRPC's own bound is higher (server.cc) and says less.
absl::Status TooLarge(std::uint64_t bytes, std::uint64_t max_request_bytes) {
  return absl::ResourceExhaustedError(absl::StrCat(
      "the request is of ", bytes, " bytes, more than transactions.max_request_bytes = ", max_request_bytes,
      "; send less work in one transaction, or raise that option of assentd"));
}

// Parses a request and hands it to one of the engine's calls.
template <typename Request, typename Response>
raw::Reactor* ParseAndHand(const ServiceSurroundings& env, void (Engine::*method)(Request, Reply<Response>),
                           const raw::Bytes* bytes, raw::Bytes* response) {
  // A Submit may repeat one that was carried out under a wider bound: the engine looks for that first.
  constexpr bool kIsSubmit = std::is_same_v<Request, v1::SubmitRequest>;
  if (!kIsSubmit && bytes->Length() > env.max_request_bytes) {
    return Refuse<Response>(TooLarge(bytes->Length(), env.max_request_bytes), response);
  }
  Request request;
  raw::Bytes readable(*bytes);  // shares the bytes; reading consumes its hold on them
  if (!grpc::SerializationTraits<Request>::Deserialize(&readable, &request).ok()) {
    const absl::Status malformed = absl::InvalidArgumentError(absl::StrCat(
        "the request is no valid ", std::string(Request::descriptor()->full_name()),
        ": a string field holds bytes that are not UTF-8 (send those as bytes), or the message is malformed"));
    return Refuse<Response>(kIsSubmit ? NothingDone(malformed) : malformed, response);
  }
  return Hand(env.calls, env.engine, method, std::move(request), response);
}

}  // namespace

raw::Reactor* CoordinatorService::Begin(raw::Context*, const raw::Bytes* request, raw::Bytes* response) {
  return ParseAndHand(env_, &Engine::Begin, request, response);
}

raw::Reactor* CoordinatorService::Enlist(raw::Context*, const raw::Bytes* request, raw::Bytes* response) {
  return ParseAndHand(env_, &Engine::Enlist, request, response);
}

raw::Reactor* CoordinatorService::Execute(raw::Context*, const raw::Bytes* request, raw::Bytes* response) {
  return ParseAndHand(env_, &Engine::Execute, request, response);
}

raw::Reactor* CoordinatorService::Commit(raw::Context*, const raw::Bytes* request, raw::Bytes* response) {
  return ParseAndHand(env_, &Engine::Commit, request, response);
}

raw::Reactor* CoordinatorService::Abort(raw::Context*, const raw::Bytes* request, raw::Bytes* response) {
  return ParseAndHand(env_, &Engine::Abort, request, response);
}

raw::Reactor* CoordinatorService::Submit(raw::Context*, const raw::Bytes* request, raw::Bytes* response) {
  return ParseAndHand(env_, &Engine::Submit, request, response);
}

raw::Reactor* CoordinatorService::GetTransaction(raw::Context*, const raw::Bytes* request, raw::Bytes* response) {
  return ParseAndHand(env_, &Engine::GetTransaction, request, response);
}

raw::Reactor* AdminService::ListTransactions(raw::Context*, const raw::Bytes* request, raw::Bytes* response) {
  return ParseAndHand(env_, &Engine::ListTransactions, request, response);
}

raw::Reactor* AdminService::DescribeTransaction(raw::Context*, const raw::Bytes* request, raw::Bytes* response) {
  return ParseAndHand(env_, &Engine::DescribeTransaction, request, response);
}

}  // namespace assent
