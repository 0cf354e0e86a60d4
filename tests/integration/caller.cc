#include "tests/integration/caller.h"

#include <grpcpp/client_context.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>

namespace assent::integration {
namespace {

constexpr auto kCallPatience = std::chrono::seconds(60);

template <typename Response, typename Method>
Called<Response> Call(Method method) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kCallPatience);
  Called<Response> called;
  called.status = method(&context, &called.response);
  called.failure = FailureIn(called.status);
  return called;
}

}  // namespace

std::optional<v1::TransactionFailure> FailureIn(const grpc::Status& status) {
  v1::StatusDetails details;
  if (!details.ParseFromString(status.error_details())) return std::nullopt;
  for (const v1::AnyDetail& detail : details.details()) {
    v1::TransactionFailure failure;
    if (detail.type_url() == "type.googleapis.com/assent.v1.TransactionFailure" &&
        failure.ParseFromString(detail.value())) {
      return failure;
    }
  }
  return std::nullopt;
}

Caller::Caller(const std::shared_ptr<grpc::Channel>& channel)
    : coordinator_(v1::Coordinator::NewStub(channel)), admin_(v1::Admin::NewStub(channel)) {}

Called<v1::BeginResponse> Caller::Begin(double timeout_seconds, const std::string& request_id) {
  v1::BeginRequest request;
  request.set_request_id(request_id);
  const double whole = std::floor(timeout_seconds);
  request.mutable_timeout()->set_seconds(static_cast<std::int64_t>(whole));
  request.mutable_timeout()->set_nanos(static_cast<std::int32_t>((timeout_seconds - whole) * 1e9));
  return Call<v1::BeginResponse>(
      [&](auto* context, auto* response) { return coordinator_->Begin(context, request, response); });
}

std::string Caller::BeginId(double timeout_seconds) {
  const auto begun = Begin(timeout_seconds);
  EXPECT_TRUE(begun.ok()) << begun.message();
  return begun.response.txn_id();
}

Called<v1::EnlistResponse> Caller::Enlist(const std::string& txn_id, const std::string& participant,
                                          const std::string& branch, const v1::BranchOptions& options) {
  v1::EnlistRequest request;
  request.set_txn_id(txn_id);
  request.set_participant(participant);
  request.set_branch(branch.empty() ? participant : branch);
  *request.mutable_options() = options;
  return Call<v1::EnlistResponse>(
      [&](auto* context, auto* response) { return coordinator_->Enlist(context, request, response); });
}

Called<v1::ExecuteResponse> Caller::Execute(const std::string& txn_id, const std::string& branch, std::int64_t number,
                                            const v1::Operation& operation) {
  v1::ExecuteRequest request;
  request.set_txn_id(txn_id);
  request.set_branch(branch);
  request.set_operation_number(number);
  *request.mutable_operation() = operation;
  return Call<v1::ExecuteResponse>(
      [&](auto* context, auto* response) { return coordinator_->Execute(context, request, response); });
}

Called<v1::CommitResponse> Caller::Commit(const std::string& txn_id, v1::Wait wait) {
  v1::CommitRequest request;
  request.set_txn_id(txn_id);
  request.set_wait(wait);
  return Commit(request);
}

Called<v1::CommitResponse> Caller::Commit(const v1::CommitRequest& request) {
  return Call<v1::CommitResponse>(
      [&](auto* context, auto* response) { return coordinator_->Commit(context, request, response); });
}

Called<v1::AbortResponse> Caller::Abort(const std::string& txn_id) {
  v1::AbortRequest request;
  request.set_txn_id(txn_id);
  return Call<v1::AbortResponse>(
      [&](auto* context, auto* response) { return coordinator_->Abort(context, request, response); });
}

Called<v1::SubmitResponse> Caller::Submit(const v1::SubmitRequest& request) {
  return Call<v1::SubmitResponse>(
      [&](auto* context, auto* response) { return coordinator_->Submit(context, request, response); });
}

Called<v1::TransactionDescription> Caller::Get(const std::string& txn_id) {
  v1::GetTransactionRequest request;
  request.set_txn_id(txn_id);
  return Call<v1::TransactionDescription>(
      [&](auto* context, auto* response) { return coordinator_->GetTransaction(context, request, response); });
}

Called<v1::ListTransactionsResponse> Caller::List(std::int32_t page_size) {
  v1::ListTransactionsRequest request;
  request.set_page_size(page_size);
  return Call<v1::ListTransactionsResponse>(
      [&](auto* context, auto* response) { return admin_->ListTransactions(context, request, response); });
}

v1::Value Text(std::string_view text) {
  v1::Value value;
  value.set_text(std::string(text));
  return value;
}

v1::Value Int(std::int64_t number) {
  v1::Value value;
  value.set_int64(number);
  return value;
}

v1::Operation SqlWork(const std::string& statement, std::initializer_list<v1::Value> parameters) {
  v1::Operation operation;
  v1::SqlStatement& sql = *operation.mutable_sql()->add_statements();
  sql.set_sql(statement);
  if (parameters.size() == 0) return operation;
  v1::ParameterSet& set = *sql.add_parameter_sets();
  for (const v1::Value& parameter : parameters) *set.add_values() = parameter;
  return operation;
}

v1::Operation RecordWork(const std::string& topic, const std::string& key, const std::string& value) {
  v1::Operation operation;
  v1::KafkaRecord& record = *operation.mutable_kafka()->add_records();
  record.set_topic(topic);
  record.set_key(key);
  record.set_value(value);
  return operation;
}

void AddBranch(v1::SubmitRequest& request, const std::string& participant, const v1::Operation& operation) {
  v1::SubmitBranch& branch = *request.add_branches();
  branch.set_participant(participant);
  *branch.add_operations() = operation;
}

}  // namespace assent::integration
