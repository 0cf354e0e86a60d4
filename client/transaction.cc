#include "assent/transaction.h"

#include <utility>

#include "client/await.h"
#include "client/messages.h"
#include "client/open_transaction.h"

namespace assent {
inline namespace client {

Transaction::Transaction(std::shared_ptr<OpenTransaction> open) : open_(std::move(open)) {}

Transaction& Transaction::operator=(Transaction&& other) noexcept {
  if (this == &other) return *this;
  if (open_ != nullptr) open_->Drop();
  open_ = std::move(other.open_);
  return *this;
}

Transaction::~Transaction() {
  if (open_ != nullptr) open_->Drop();
}

const std::string& Transaction::id() const { return open_->id(); }

absl::Time Transaction::deadline() const { return open_->deadline(); }

absl::Status Transaction::Enlist(const std::string& participant, BranchOptions options) {
  return Enlist(participant, participant, std::move(options));
}

absl::Status Transaction::Enlist(const std::string& participant, const std::string& branch, BranchOptions options) {
  return Await<absl::Status>([&](auto done) { EnlistAsync(participant, branch, std::move(options), std::move(done)); });
}

absl::StatusOr<SqlResult> Transaction::Execute(const std::string& branch, Sql statement) {
  return Execute(branch, std::vector<Sql>{std::move(statement)});
}

absl::StatusOr<SqlResult> Transaction::Execute(const std::string& branch, std::vector<Sql> statements) {
  return Await<absl::StatusOr<SqlResult>>(
      [&](auto done) { ExecuteAsync(branch, std::move(statements), std::move(done)); });
}

absl::StatusOr<std::int64_t> Transaction::Execute(const std::string& branch, Record record) {
  return Execute(branch, std::vector<Record>{std::move(record)});
}

absl::StatusOr<std::int64_t> Transaction::Execute(const std::string& branch, std::vector<Record> records) {
  return Await<absl::StatusOr<std::int64_t>>(
      [&](auto done) { ExecuteAsync(branch, std::move(records), std::move(done)); });
}

absl::StatusOr<CommitResult> Transaction::Commit(Wait wait) {
  return Await<absl::StatusOr<CommitResult>>([&](auto done) { CommitAsync(wait, std::move(done)); });
}

absl::Status Transaction::Abort(const std::string& reason) {
  return Await<absl::Status>([&](auto done) { AbortAsync(reason, std::move(done)); });
}

void Transaction::EnlistAsync(const std::string& participant, const std::string& branch, BranchOptions options,
                              Callback<absl::Status> done) {
  v1::EnlistRequest request;
  request.set_participant(participant);
  request.set_branch(branch);
  if (options.index() != 0) *request.mutable_options() = ToProto(options);
  open_->Enlist(std::move(request), std::move(done));
}

void Transaction::ExecuteAsync(const std::string& branch, std::vector<Sql> statements,
                               Callback<absl::StatusOr<SqlResult>> done) {
  open_->Execute(branch, ToProto(statements),
                 [done = std::move(done)](absl::StatusOr<v1::OperationResult> result) mutable {
                   if (!result.ok()) return done(result.status());
                   done(FromProto(*result));
                 });
}

void Transaction::ExecuteAsync(const std::string& branch, std::vector<Record> records,
                               Callback<absl::StatusOr<std::int64_t>> done) {
  open_->Execute(branch, ToProto(records),
                 [done = std::move(done)](absl::StatusOr<v1::OperationResult> result) mutable {
                   if (!result.ok()) return done(result.status());
                   done(result->kafka().records());
                 });
}

void Transaction::CommitAsync(Wait wait, Callback<absl::StatusOr<CommitResult>> done) {
  open_->Commit(wait, std::move(done));
}

void Transaction::AbortAsync(const std::string& reason, Callback<absl::Status> done) {
  open_->Abort(reason, std::move(done));
}

}  // namespace client
}  // namespace assent
