#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "assent/options.h"
#include "assent/v1/admin.grpc.pb.h"

namespace assent::cli {

// The operator's side of assent.v1.Admin: calls that block, each for at most `patience`, connecting included. Statuses
// are made for people: one that never reached a coordinator (ExitCodeOf: kUnreachable) says where it was looked for and
// what to check. One thread.
class AdminClient {
 public:
  AdminClient(ClientOptions options, absl::Duration patience);

  // Every page of what matches, up to `most`; `truncated` says that there is more.
  struct Transactions {
    v1::ListTransactionsResponse listed;  // one page: no token
    bool truncated = false;
  };
  absl::StatusOr<Transactions> ListTransactions(v1::ListTransactionsRequest request, std::size_t most);
  absl::StatusOr<v1::TransactionDescription> DescribeTransaction(const std::string& txn_id);
  absl::StatusOr<v1::ListParticipantsResponse> ListParticipants();
  absl::StatusOr<v1::ListAuditResponse> ListAudit();  // every page
  absl::StatusOr<v1::ResolveBranchResponse> ResolveBranch(const v1::ResolveBranchRequest& request);
  absl::StatusOr<v1::RecoverResponse> Recover();

  const std::string& address() const { return options_.address; }

 private:
  template <typename Request, typename Response>
  absl::StatusOr<Response> Call(grpc::Status (v1::Admin::Stub::*method)(grpc::ClientContext*, const Request&,
                                                                        Response*),
                                const Request& request);
  absl::Status Connect();

  const ClientOptions options_;
  const absl::Duration patience_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::Admin::Stub> stub_;
};

}  // namespace assent::cli
