#include "assent/client.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/await.h"
#include "client/connection.h"
#include "client/messages.h"
#include "client/open_transaction.h"
#include "client/retrying_call.h"

namespace assent {
inline namespace client {
namespace {

using Stub = v1::Coordinator::StubInterface::async_interface;

absl::Duration TimeoutOr(absl::Duration timeout, const Connection& connection) {
  return timeout == absl::ZeroDuration() ? connection.options().default_timeout : timeout;
}

absl::Duration GiveUp(absl::Duration timeout, const Connection& connection) {
  return connection.timer().Now() + timeout + connection.options().retry.grace;
}

void Ask(const std::shared_ptr<Connection>& connection, v1::GetTransactionRequest request, TransactionFailure about,
         absl::AnyInvocable<void(absl::StatusOr<TransactionInfo>)> done) {
  RetryingCall<v1::GetTransactionRequest, v1::TransactionDescription>::Start(
      connection, &Stub::GetTransaction, std::move(request),
      connection->timer().Now() + connection->options().default_timeout, std::move(about),
      [done = std::move(done)](const absl::StatusOr<v1::TransactionDescription>& answer) mutable {
        if (!answer.ok()) return done(answer.status());
        done(FromProto(*answer));
      });
}

absl::Status TooManyWaiting(const Connection& connection) {
  return absl::ResourceExhaustedError(absl::StrCat("ClientOptions::max_waiting = ", connection.options().max_waiting,
                                                   " transactions wait for an answer; this one was not sent"));
}

}  // namespace

Client::Client(ClientOptions options) : connection_(Connection::Make(std::move(options))) {}

Client::~Client() {
  if (CallbackScope::IsActive()) return;
  connection_->WaitForBackgroundAborts();
  connection_->callbacks()->WaitForNone(connection_->options().abort_patience);
}

void Client::BeginAsync(BeginOptions options, absl::AnyInvocable<void(absl::StatusOr<Transaction>)> done) {
  auto place = connection_->TakePlace();
  if (place == nullptr) return done(TooManyWaiting(*connection_));
  const absl::Duration timeout = TimeoutOr(options.timeout, *connection_);
  const absl::Duration give_up = GiveUp(timeout, *connection_);
  v1::BeginRequest request;
  // None of our own: with one, the coordinator would make even an abort durable. A repeat may begin a second
  // transaction, which is empty and ends at its deadline.
  request.set_request_id(options.request_id);
  *request.mutable_timeout() = ToProto(timeout);
  *request.mutable_first_attempt() = ToProto(absl::Now());
  for (const auto& [key, value] : options.labels) (*request.mutable_labels())[key] = value;
  TransactionFailure about;
  about.request_id = request.request_id();
  RetryingCall<v1::BeginRequest, v1::BeginResponse>::Start(
      connection_, &Stub::Begin, std::move(request), give_up, std::move(about),
      [connection = connection_, place = std::move(place), give_up,
       done = std::move(done)](const absl::StatusOr<v1::BeginResponse>& answer) mutable {
        place.reset();
        if (!answer.ok()) return done(answer.status());
        done(Transaction(
            std::make_shared<OpenTransaction>(connection, answer->txn_id(), FromProto(answer->deadline()), give_up)));
      });
}

void Client::SubmitAsync(const Submission& submission, absl::AnyInvocable<void(absl::StatusOr<SubmitResult>)> done) {
  auto place = connection_->TakePlace();
  if (place == nullptr) return done(TooManyWaiting(*connection_));
  const absl::Duration timeout = TimeoutOr(submission.timeout(), *connection_);
  v1::SubmitRequest request = ToProto(submission);
  if (request.request_id().empty()) request.set_request_id(connection_->RandomRequestId());
  *request.mutable_timeout() = ToProto(timeout);
  *request.mutable_first_attempt() =
      ToProto(submission.first_attempt() == absl::InfinitePast() ? absl::Now() : submission.first_attempt());
  TransactionFailure about;
  about.request_id = request.request_id();
  RetryingCall<v1::SubmitRequest, v1::SubmitResponse>::Start(
      connection_, &Stub::Submit, std::move(request), GiveUp(timeout, *connection_), std::move(about),
      [place = std::move(place), done = std::move(done)](const absl::StatusOr<v1::SubmitResponse>& answer) mutable {
        place.reset();
        if (!answer.ok()) return done(answer.status());
        done(FromProto(*answer));
      });
}

void Client::GetTransactionAsync(const std::string& txn_id,
                                 absl::AnyInvocable<void(absl::StatusOr<TransactionInfo>)> done) {
  v1::GetTransactionRequest request;
  request.set_txn_id(txn_id);
  TransactionFailure about;
  about.txn_id = txn_id;
  Ask(connection_, std::move(request), std::move(about), std::move(done));
}

absl::StatusOr<Transaction> Client::Begin(BeginOptions options) {
  return Await<absl::StatusOr<Transaction>>([&](auto done) { BeginAsync(std::move(options), std::move(done)); });
}

absl::StatusOr<SubmitResult> Client::Submit(const Submission& submission) {
  return Await<absl::StatusOr<SubmitResult>>([&](auto done) { SubmitAsync(submission, std::move(done)); });
}

absl::StatusOr<TransactionInfo> Client::GetTransaction(const std::string& txn_id) {
  return Await<absl::StatusOr<TransactionInfo>>([&](auto done) { GetTransactionAsync(txn_id, std::move(done)); });
}

absl::StatusOr<TransactionInfo> Client::GetRequest(const std::string& request_id) {
  v1::GetTransactionRequest request;
  request.set_request_id(request_id);
  TransactionFailure about;
  about.request_id = request_id;
  return Await<absl::StatusOr<TransactionInfo>>(
      [&](auto done) { Ask(connection_, std::move(request), std::move(about), std::move(done)); });
}

absl::Status Client::AbortRequest(const std::string& request_id, const std::string& reason, absl::Time first_attempt) {
  v1::AbortRequest request;
  request.set_request_id(request_id);
  request.set_reason(reason);
  if (first_attempt != absl::InfinitePast()) *request.mutable_first_attempt() = ToProto(first_attempt);
  TransactionFailure about;
  about.request_id = request_id;
  const absl::Duration give_up = GiveUp(connection_->options().default_timeout, *connection_);
  return Await<absl::Status>([&](auto done) {
    RetryingCall<v1::AbortRequest, v1::AbortResponse>::Start(
        connection_, &Stub::Abort, std::move(request), give_up, std::move(about),
        [done = std::move(done)](const absl::StatusOr<v1::AbortResponse>& answer) mutable { done(answer.status()); });
  });
}

}  // namespace client
}  // namespace assent
