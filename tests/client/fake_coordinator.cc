#include "tests/client/fake_coordinator.h"

namespace assent {

FakeCoordinator::FakeCoordinator(const std::shared_ptr<grpc::ServerCredentials>& credentials) {
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", credentials, &port);
  builder.RegisterService(this);
  server_ = builder.BuildAndStart();
  address_ = "127.0.0.1:" + std::to_string(port);
}

template <typename Answer, typename Request, typename Response>
grpc::Status FakeCoordinator::Remember(std::vector<Request>& requests, const Answer& answer,
                                       grpc::ServerContext* context, const Request& request, Response* response) {
  int count = 0;
  {
    const std::lock_guard lock(mutex_);
    requests.push_back(request);
    count = static_cast<int>(requests.size());
  }
  return answer ? answer(count, context, request, response) : grpc::Status::OK;
}

grpc::Status FakeCoordinator::Begin(grpc::ServerContext* context, const v1::BeginRequest* request,
                                    v1::BeginResponse* response) {
  response->set_txn_id("txn-" + std::to_string(begins().size() + 1));
  return Remember(begins_, on_begin, context, *request, response);
}

grpc::Status FakeCoordinator::Enlist(grpc::ServerContext* context, const v1::EnlistRequest* request,
                                     v1::EnlistResponse* response) {
  return Remember(enlists_, on_enlist, context, *request, response);
}

grpc::Status FakeCoordinator::Execute(grpc::ServerContext* context, const v1::ExecuteRequest* request,
                                      v1::ExecuteResponse* response) {
  return Remember(executes_, on_execute, context, *request, response);
}

grpc::Status FakeCoordinator::Commit(grpc::ServerContext* context, const v1::CommitRequest* request,
                                     v1::CommitResponse* response) {
  response->set_txn_id(request->txn_id());
  return Remember(commits_, on_commit, context, *request, response);
}

grpc::Status FakeCoordinator::Abort(grpc::ServerContext* context, const v1::AbortRequest* request,
                                    v1::AbortResponse* response) {
  return Remember(aborts_, on_abort, context, *request, response);
}

grpc::Status FakeCoordinator::Submit(grpc::ServerContext* context, const v1::SubmitRequest* request,
                                     v1::SubmitResponse* response) {
  response->set_txn_id("txn-submitted");
  return Remember(submits_, on_submit, context, *request, response);
}

grpc::Status FakeCoordinator::GetTransaction(grpc::ServerContext* context, const v1::GetTransactionRequest* request,
                                             v1::TransactionDescription* response) {
  return Remember(gets_, on_get, context, *request, response);
}

grpc::Status WithFailure(grpc::StatusCode code, const v1::TransactionFailure& failure) {
  v1::StatusDetails details;
  details.set_code(code);
  details.set_message(failure.reason());
  v1::AnyDetail& detail = *details.add_details();
  detail.set_type_url("type.googleapis.com/assent.v1.TransactionFailure");
  detail.set_value(failure.SerializeAsString());
  return grpc::Status(code, failure.reason(), details.SerializeAsString());
}

}  // namespace assent
