#pragma once

#include <grpcpp/channel.h>

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "assent/v1/admin.grpc.pb.h"
#include "assent/v1/coordinator.grpc.pb.h"

namespace assent::integration {

// What a call came back with.
template <typename Response>
struct Called {
  grpc::Status status;
  std::optional<v1::TransactionFailure> failure;  // of the status's details
  Response response;

  bool ok() const { return status.ok(); }
  grpc::StatusCode code() const { return status.error_code(); }
  std::string message() const { return status.error_message(); }
};

std::optional<v1::TransactionFailure> FailureIn(const grpc::Status& status);

// The API as any client sees it: bare stubs, no retries. Thread-safe.
class Caller {
 public:
  explicit Caller(const std::shared_ptr<grpc::Channel>& channel);

  Called<v1::BeginResponse> Begin(double timeout_seconds = 30, const std::string& request_id = "");
  // Begins and gives the id alone; a failure fails the test.
  std::string BeginId(double timeout_seconds = 30);
  Called<v1::EnlistResponse> Enlist(const std::string& txn_id, const std::string& participant,
                                    const std::string& branch = "", const v1::BranchOptions& options = {});
  Called<v1::ExecuteResponse> Execute(const std::string& txn_id, const std::string& branch, std::int64_t number,
                                      const v1::Operation& operation);
  Called<v1::CommitResponse> Commit(const std::string& txn_id, v1::Wait wait = v1::COMPLETED);
  Called<v1::CommitResponse> Commit(const v1::CommitRequest& request);
  Called<v1::AbortResponse> Abort(const std::string& txn_id);
  Called<v1::SubmitResponse> Submit(const v1::SubmitRequest& request);
  Called<v1::TransactionDescription> Get(const std::string& txn_id);
  Called<v1::ListTransactionsResponse> List(std::int32_t page_size = 1000);

 private:
  const std::unique_ptr<v1::Coordinator::Stub> coordinator_;
  const std::unique_ptr<v1::Admin::Stub> admin_;
};

v1::Value Text(std::string_view text);
v1::Value Int(std::int64_t number);

// One statement, with its parameters.
v1::Operation SqlWork(const std::string& statement, std::initializer_list<v1::Value> parameters = {});
v1::Operation RecordWork(const std::string& topic, const std::string& key, const std::string& value);

// A branch under its participant's name, with one operation.
void AddBranch(v1::SubmitRequest& request, const std::string& participant, const v1::Operation& operation);

}  // namespace assent::integration
