#include "coordinator/server/services.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

#include <type_traits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "coordinator/engine/work_size.h"
#include "coordinator/server/unary_call.h"

namespace assent {
namespace {

// gRPC's own bound is higher (server.cc) and says less.
absl::Status TooLarge(std::uint64_t bytes, std::uint64_t max_request_bytes) {
  return absl::ResourceExhaustedError(absl::StrCat(
      "the request is of ", bytes, " bytes, more than transactions.max_request_bytes = ", max_request_bytes,
      "; send less work in one transaction, or raise that option of assentd"));
}

absl::Status CheckOperations(std::uint64_t operations, std::uint32_t max_operations) {
  if (operations <= max_operations) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat(
      "the request asks for ", operations, " operations, more than transactions.max_operations = ", max_operations,
      "; send less work in one transaction"));
}

// Whether a request asks for more than few bytes should; here, because giving up millions of parts takes a second, in
// which a shard would do nothing else.
template <typename Request>
absl::Status CheckWork(const Request& request, std::uint32_t max_operations) {
  if constexpr (std::is_same_v<Request, v1::SubmitRequest>) {
    return CheckOperations(OperationsIn(request), max_operations);
  } else if constexpr (std::is_same_v<Request, v1::ExecuteRequest>) {
    return CheckOperations(OperationsIn(request.operation()), max_operations);
  } else {
    return absl::OkStatus();
  }
}

template <typename Request>
absl::Status Malformed() {
  return absl::InvalidArgumentError(absl::StrCat(
      "the request is no valid ", std::string(Request::descriptor()->full_name()),
      ": a string field holds bytes that are not UTF-8 (send those as bytes), or the message is malformed"));
}

// Of a Submit that is not parsed: its request_id and its first_attempt, and nothing else; nothing where they cannot be
// read.
v1::SubmitRequest NameOf(const raw::Bytes& bytes) {
  using Format = google::protobuf::internal::WireFormatLite;
  raw::Bytes readable(bytes);
  grpc::ProtoBufferReader reader(&readable);
  google::protobuf::io::CodedInputStream in(&reader);
  v1::SubmitRequest name;  // of a field that comes again the last one counts
  std::string first_attempt;
  while (const std::uint32_t tag = in.ReadTag()) {
    const int field = Format::GetTagFieldNumber(tag);
    bool is_readable = false;
    if (field == v1::SubmitRequest::kRequestIdFieldNumber) {
      is_readable = Format::ReadString(&in, name.mutable_request_id());
    } else if (field == v1::SubmitRequest::kFirstAttemptFieldNumber) {
      is_readable =
          Format::ReadString(&in, &first_attempt) && name.mutable_first_attempt()->ParseFromString(first_attempt);
    } else {
      is_readable = Format::SkipField(&in, tag);
    }
    if (!is_readable) return {};
  }
  return name;
}

// Refuses a request. A Submit may be a repeat of one that was carried out under a wider bound: the engine knows.
template <typename Request, typename Response>
raw::Reactor* RefuseRequest(const ServiceSurroundings& env, const absl::Status& why, const raw::Bytes& bytes,
                            raw::Bytes* response) {
  if constexpr (std::is_same_v<Request, v1::SubmitRequest>) {
    if (const absl::Status taken = env.calls.Add(); !taken.ok()) return Refuse<Response>(taken, response);
    auto call = UnaryCall<Response>::Start(&env.calls, response);
    raw::Reactor* reactor = call.get();
    env.engine.RefuseSubmit(NameOf(bytes), why, [call = std::move(call)](absl::StatusOr<Response> answer) {
      call->Answer(std::move(answer));
    });
    return reactor;
  } else {
    return Refuse<Response>(why, response);
  }
}

// Parses a request and hands it to one of the engine's calls.
template <typename Request, typename Response>
raw::Reactor* ParseAndHand(const ServiceSurroundings& env, void (Engine::*method)(Request, Reply<Response>),
                           const raw::Bytes* bytes, raw::Bytes* response) {
  if (bytes->Length() > env.max_request_bytes) {
    return RefuseRequest<Request, Response>(env, TooLarge(bytes->Length(), env.max_request_bytes), *bytes, response);
  }
  Request request;
  raw::Bytes readable(*bytes);  // shares the bytes; reading consumes its hold on them
  if (!grpc::SerializationTraits<Request>::Deserialize(&readable, &request).ok()) {
    return RefuseRequest<Request, Response>(env, Malformed<Request>(), *bytes, response);
  }
  if (const absl::Status work = CheckWork(request, env.max_operations); !work.ok()) {
    return RefuseRequest<Request, Response>(env, work, *bytes, response);
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

raw::Reactor* AdminService::ListParticipants(raw::Context*, const raw::Bytes* request, raw::Bytes* response) {
  return ParseAndHand(env_, &Engine::ListParticipants, request, response);
}

raw::Reactor* AdminService::ListAudit(raw::Context*, const raw::Bytes* request, raw::Bytes* response) {
  return ParseAndHand(env_, &Engine::ListAudit, request, response);
}

raw::Reactor* AdminService::ResolveBranch(raw::Context*, const raw::Bytes* request, raw::Bytes* response) {
  return ParseAndHand(env_, &Engine::ResolveBranch, request, response);
}

raw::Reactor* AdminService::Recover(raw::Context*, const raw::Bytes* request, raw::Bytes* response) {
  return ParseAndHand(env_, &Engine::Recover, request, response);
}

}  // namespace assent
