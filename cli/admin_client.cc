#include "cli/admin_client.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "cli/exit_code.h"
#include "client/channel.h"

namespace assent::cli {
namespace {

constexpr std::int32_t kPageSize = 1000;  // the most that a coordinator gives at once

}  // namespace

AdminClient::AdminClient(ClientOptions options, absl::Duration patience)
    : options_(std::move(options)), patience_(patience) {}

absl::Status AdminClient::Connect() {
  if (stub_ == nullptr) {
    auto channel = MakeChannel(options_);
    if (!channel.ok()) return channel.status();
    channel_ = *std::move(channel);
    stub_ = v1::Admin::NewStub(channel_);
  }
  if (channel_->WaitForConnected(absl::ToChronoTime(absl::Now() + patience_))) return absl::OkStatus();
  return UnreachableError(absl::StrCat(
      "no coordinator answers at ", options_.address, " within ", absl::FormatDuration(patience_),
      ": check that assentd runs, that its option `listen` names this address (--address, or ASSENT_ADDRESS), and "
      "that ",
      options_.tls != nullptr ? "it speaks TLS there, with a certificate that --tls-ca knows and that bears this host"
                              : "it speaks without TLS there; with TLS, give --tls-ca"));
}

template <typename Request, typename Response>
absl::StatusOr<Response> AdminClient::Call(grpc::Status (v1::Admin::Stub::*method)(grpc::ClientContext*, const Request&,
                                                                                   Response*),
                                           const Request& request) {
  if (absl::Status connected = Connect(); !connected.ok()) return connected;
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + patience_));
  Response response;
  const grpc::Status status = (stub_.get()->*method)(&context, request, &response);
  if (status.ok()) return response;
  if (status.error_code() == grpc::StatusCode::UNIMPLEMENTED) {
    return absl::UnimplementedError(absl::StrCat("what answers at ", options_.address,
                                                 " does not know this call: it is an older assentd, or none"));
  }
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()),
                      absl::StrCat("the coordinator at ", options_.address, " says: ", status.error_message()));
}

absl::StatusOr<AdminClient::Transactions> AdminClient::ListTransactions(v1::ListTransactionsRequest request,
                                                                        std::size_t most) {
  Transactions all;
  for (;;) {
    const std::size_t left = most - static_cast<std::size_t>(all.listed.transactions_size());
    request.set_page_size(static_cast<std::int32_t>(std::min<std::size_t>(left, kPageSize)));
    auto page = Call(&v1::Admin::Stub::ListTransactions, request);
    if (!page.ok()) return page.status();
    all.listed.mutable_transactions()->MergeFrom(page->transactions());
    if (page->next_page_token().empty()) return all;
    if (static_cast<std::size_t>(all.listed.transactions_size()) >= most) {
      all.truncated = true;
      return all;
    }
    request.set_page_token(page->next_page_token());
  }
}

absl::StatusOr<v1::TransactionDescription> AdminClient::DescribeTransaction(const std::string& txn_id) {
  v1::DescribeTransactionRequest request;
  request.set_txn_id(txn_id);
  return Call(&v1::Admin::Stub::DescribeTransaction, request);
}

absl::StatusOr<v1::ListParticipantsResponse> AdminClient::ListParticipants() {
  return Call(&v1::Admin::Stub::ListParticipants, v1::ListParticipantsRequest());
}

absl::StatusOr<v1::ListAuditResponse> AdminClient::ListAudit() {
  v1::ListAuditResponse all;
  v1::ListAuditRequest request;
  request.set_page_size(kPageSize);
  do {
    auto page = Call(&v1::Admin::Stub::ListAudit, request);
    if (!page.ok()) return page.status();
    all.mutable_entries()->MergeFrom(page->entries());
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  return all;
}

absl::StatusOr<v1::ResolveBranchResponse> AdminClient::ResolveBranch(const v1::ResolveBranchRequest& request) {
  return Call(&v1::Admin::Stub::ResolveBranch, request);
}

absl::StatusOr<v1::RecoverResponse> AdminClient::Recover() {
  return Call(&v1::Admin::Stub::Recover, v1::RecoverRequest());
}

}  // namespace assent::cli
