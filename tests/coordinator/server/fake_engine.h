#pragma once

#include <functional>
#include <utility>

#include "coordinator/engine/engine.h"

namespace assent {

// An engine that answers as a test says, on the thread that calls; UNIMPLEMENTED where it says nothing. The functions
// are set before a server uses it.
class FakeEngine final : public Engine {
 public:
  std::function<void(v1::BeginRequest, Reply<v1::BeginResponse>)> on_begin;
  std::function<void(v1::ExecuteRequest, Reply<v1::ExecuteResponse>)> on_execute;
  std::function<void(v1::CommitRequest, Reply<v1::CommitResponse>)> on_commit;
  std::function<void(v1::SubmitRequest, Reply<v1::SubmitResponse>)> on_submit;
  std::function<void(v1::ListTransactionsRequest, Reply<v1::ListTransactionsResponse>)> on_list;
  std::function<void(v1::ListParticipantsRequest, Reply<v1::ListParticipantsResponse>)> on_list_participants;

  v1::SubmitRequest refused;  // by RefuseSubmit()

  void Begin(v1::BeginRequest request, Reply<v1::BeginResponse> reply) override {
    Answer(on_begin, std::move(request), std::move(reply));
  }
  void Enlist(v1::EnlistRequest, Reply<v1::EnlistResponse> reply) override { Unimplemented(reply); }
  void Execute(v1::ExecuteRequest request, Reply<v1::ExecuteResponse> reply) override {
    Answer(on_execute, std::move(request), std::move(reply));
  }
  void Commit(v1::CommitRequest request, Reply<v1::CommitResponse> reply) override {
    Answer(on_commit, std::move(request), std::move(reply));
  }
  void Abort(v1::AbortRequest, Reply<v1::AbortResponse> reply) override { Unimplemented(reply); }
  void Submit(v1::SubmitRequest request, Reply<v1::SubmitResponse> reply) override {
    Answer(on_submit, std::move(request), std::move(reply));
  }
  void RefuseSubmit(v1::SubmitRequest name, absl::Status why, Reply<v1::SubmitResponse> reply) override {
    refused = std::move(name);
    reply(std::move(why));
  }
  void GetTransaction(v1::GetTransactionRequest, Reply<v1::TransactionDescription> reply) override {
    Unimplemented(reply);
  }
  void ListTransactions(v1::ListTransactionsRequest request, Reply<v1::ListTransactionsResponse> reply) override {
    Answer(on_list, std::move(request), std::move(reply));
  }
  void DescribeTransaction(v1::DescribeTransactionRequest, Reply<v1::TransactionDescription> reply) override {
    Unimplemented(reply);
  }
  void ListParticipants(v1::ListParticipantsRequest request, Reply<v1::ListParticipantsResponse> reply) override {
    Answer(on_list_participants, std::move(request), std::move(reply));
  }
  void ListAudit(v1::ListAuditRequest, Reply<v1::ListAuditResponse> reply) override { Unimplemented(reply); }
  void ResolveBranch(v1::ResolveBranchRequest, Reply<v1::ResolveBranchResponse> reply) override {
    Unimplemented(reply);
  }
  void Recover(v1::RecoverRequest, Reply<v1::RecoverResponse> reply) override { Unimplemented(reply); }
  absl::Status CheckIdentity(absl::Duration, std::function<bool()>) override { return absl::OkStatus(); }

 private:
  template <typename Response>
  static void Unimplemented(Reply<Response>& reply) {
    reply(absl::UnimplementedError("the test expects no such call"));
  }

  template <typename Request, typename Response>
  static void Answer(const std::function<void(Request, Reply<Response>)>& answer, Request request,
                     Reply<Response> reply) {
    if (!answer) return Unimplemented(reply);
    answer(std::move(request), std::move(reply));
  }
};

}  // namespace assent
