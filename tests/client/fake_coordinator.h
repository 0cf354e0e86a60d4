#pragma once

#include <grpcpp/grpcpp.h>

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "assent/v1/coordinator.grpc.pb.h"

namespace assent {

// A coordinator on loopback that remembers what it was asked and answers as a test says; where the test says nothing,
// with OK. Thread-safe, except that the answers are set before the first call.
class FakeCoordinator final : public v1::Coordinator::Service {
 public:
  explicit FakeCoordinator(
      const std::shared_ptr<grpc::ServerCredentials>& credentials = grpc::InsecureServerCredentials());
  ~FakeCoordinator() override { server_->Shutdown(); }

  const std::string& address() const { return address_; }

  // Called with the count of such calls so far, from 1.
  std::function<grpc::Status(int, grpc::ServerContext*, const v1::BeginRequest&, v1::BeginResponse*)> on_begin;
  std::function<grpc::Status(int, grpc::ServerContext*, const v1::ExecuteRequest&, v1::ExecuteResponse*)> on_execute;
  std::function<grpc::Status(int, grpc::ServerContext*, const v1::CommitRequest&, v1::CommitResponse*)> on_commit;
  std::function<grpc::Status(int, grpc::ServerContext*, const v1::SubmitRequest&, v1::SubmitResponse*)> on_submit;
  std::function<grpc::Status(int, grpc::ServerContext*, const v1::EnlistRequest&, v1::EnlistResponse*)> on_enlist;
  std::function<grpc::Status(int, grpc::ServerContext*, const v1::AbortRequest&, v1::AbortResponse*)> on_abort;
  std::function<grpc::Status(int, grpc::ServerContext*, const v1::GetTransactionRequest&, v1::TransactionDescription*)>
      on_get;

  std::vector<v1::BeginRequest> begins() const { return Copy(begins_); }
  std::vector<v1::EnlistRequest> enlists() const { return Copy(enlists_); }
  std::vector<v1::ExecuteRequest> executes() const { return Copy(executes_); }
  std::vector<v1::CommitRequest> commits() const { return Copy(commits_); }
  std::vector<v1::AbortRequest> aborts() const { return Copy(aborts_); }
  std::vector<v1::SubmitRequest> submits() const { return Copy(submits_); }

  grpc::Status Begin(grpc::ServerContext* context, const v1::BeginRequest* request,
                     v1::BeginResponse* response) override;
  grpc::Status Enlist(grpc::ServerContext* context, const v1::EnlistRequest* request,
                      v1::EnlistResponse* response) override;
  grpc::Status Execute(grpc::ServerContext* context, const v1::ExecuteRequest* request,
                       v1::ExecuteResponse* response) override;
  grpc::Status Commit(grpc::ServerContext* context, const v1::CommitRequest* request,
                      v1::CommitResponse* response) override;
  grpc::Status Abort(grpc::ServerContext* context, const v1::AbortRequest* request,
                     v1::AbortResponse* response) override;
  grpc::Status Submit(grpc::ServerContext* context, const v1::SubmitRequest* request,
                      v1::SubmitResponse* response) override;
  grpc::Status GetTransaction(grpc::ServerContext* context, const v1::GetTransactionRequest* request,
                              v1::TransactionDescription* response) override;

 private:
  template <typename Request>
  std::vector<Request> Copy(const std::vector<Request>& requests) const {
    const std::lock_guard lock(mutex_);
    return requests;
  }
  template <typename Answer, typename Request, typename Response>
  grpc::Status Remember(std::vector<Request>& requests, const Answer& answer, grpc::ServerContext* context,
                        const Request& request, Response* response);

  mutable std::mutex mutex_;
  std::vector<v1::BeginRequest> begins_;
  std::vector<v1::EnlistRequest> enlists_;
  std::vector<v1::ExecuteRequest> executes_;
  std::vector<v1::CommitRequest> commits_;
  std::vector<v1::AbortRequest> aborts_;
  std::vector<v1::SubmitRequest> submits_;
  std::vector<v1::GetTransactionRequest> gets_;
  std::string address_;
  std::unique_ptr<grpc::Server> server_;
};

// A status with our details, as assentd sends it.
grpc::Status WithFailure(grpc::StatusCode code, const v1::TransactionFailure& failure);

}  // namespace assent
