#include "participants/kafka/transaction_end.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "participants/kafka/coordinator_call.h"
#include "participants/kafka/error_codes.h"

namespace assent::kafka {

void TransactionEnd::Start(Cluster& cluster, const v1::KafkaToken& token, std::uint32_t number, bool commit,
                           Done done) {
  std::make_shared<TransactionEnd>(cluster, token, number, commit, std::move(done))->EndTxn();
}

TransactionEnd::TransactionEnd(Cluster& cluster, const v1::KafkaToken& token, std::uint32_t number, bool commit,
                               Done done)
    : cluster_(cluster),
      token_(token),
      number_(number),
      commit_(commit),
      until_(cluster.clock().Monotonic() + cluster.options().finish_timeout),
      backoff_(cluster.options().first_backoff),
      done_(std::move(done)) {}

void TransactionEnd::EndTxn() {
  const bool is_v1 = token_.version() == v1::KAFKA_TRANSACTION_V1;
  wire::EndTxnRequest request{.version = is_v1 ? wire::EndTxnRequest::kV1 : wire::EndTxnRequest::kV2,
                              .transactional_id = token_.transactional_id(),
                              .producer_id = token_.producer_id(),
                              .epoch = static_cast<std::int16_t>(token_.epoch()),
                              .commit = commit_};
  CoordinatorCall<wire::EndTxnRequest>::Start(
      cluster_, std::move(request), {.patience = Left(), .concurrent_is_an_answer = true},
      [self = shared_from_this()](Answer<wire::EndTxnResponse> answer) { self->JudgeEndTxn(answer); });
}

void TransactionEnd::JudgeEndTxn(const Answer<wire::EndTxnResponse>& answer) {
  if (answer.delivery != Delivery::kAnswered) return Finished(Finish::Kind::kRetry, answer.message);
  if (answer.response.error_code == error::kNone) {
    // V1 begins no new epoch, and a copy of this EndTxn that is still on its way would end the id's next transaction:
    // without a next session the id is fenced first.
    if (token_.version() != v1::KAFKA_TRANSACTION_V1) {
      next_ = ProducerSession{
          .number = number_, .producer_id = answer.response.producer_id, .epoch = answer.response.epoch};
    }
    return Finished(Finish::Kind::kDone);
  }
  const ErrorCode& code = FindErrorCode(answer.response.error_code);
  std::string why = ErrorOfCode(code.code, absl::StrCat("EndTxn of transactional id \"", token_.transactional_id(),
                                                        "\", epoch ", token_.epoch()))
                        .message;
  // CONCURRENT_TRANSACTIONS says that something is being finished, and not what.
  const bool may_be_finished = code.meaning == ErrorMeaning::kFatal || code.code == error::kConcurrentTransactions;
  if (may_be_finished) return Describe(std::move(why));
  Finished(Finish::Kind::kRetry, std::move(why));
}

void TransactionEnd::Describe(std::string why) {
  wire::DescribeTransactionsRequest request{.transactional_id = token_.transactional_id()};
  CoordinatorCall<wire::DescribeTransactionsRequest>::Start(
      cluster_, std::move(request), {.patience = Left()},
      [self = shared_from_this(), why = std::move(why)](Answer<wire::DescribeTransactionsResponse> answer) {
        if (answer.delivery != Delivery::kAnswered) return self->Finished(Finish::Kind::kRetry, answer.message);
        const std::int16_t code = answer.response.error_code;
        if (code != error::kNone && code != error::kTransactionalIdNotFound) {
          const BranchError error = ErrorOfCode(
              code, absl::StrCat("DescribeTransactions of \"", self->token_.transactional_id(), "\" after ", why));
          return self->Finished(Finish::Kind::kRetry, error.message);
        }
        if (code == error::kTransactionalIdNotFound) answer.response.state.clear();
        self->JudgeState(why, answer.response);
      });
}

void TransactionEnd::JudgeState(const std::string& why, const wire::DescribeTransactionsResponse& found) {
  const std::string& state = found.state;
  const bool is_committed = state == "PrepareCommit" || state == "CompleteCommit";
  const bool is_aborted = state == "PrepareAbort" || state == "CompleteAbort";
  const bool is_nothing = state.empty() || state == "Empty" || state == "Dead";
  const std::string told = absl::StrCat("transactional id \"", token_.transactional_id(), "\" (epoch ", token_.epoch(),
                                        " in the token) is in state ", state.empty() ? "unknown to Kafka" : state,
                                        " at epoch ", found.epoch, "; ", why);
  if (state == "Ongoing") return EndTxnAgain(told);
  if (commit_) {
    if (is_committed) return Finished(Finish::Kind::kDone);
    // Repair by producing the records again belongs here; until then an operator has to.
    if (is_aborted) {
      return Finished(Finish::Kind::kHeuristic,
                      absl::StrCat("the transaction is to be committed, but Kafka has aborted it: its records are not "
                                   "visible and have to be produced again; ",
                                   told));
    }
    if (is_nothing) {
      return Finished(Finish::Kind::kHeuristic,
                      absl::StrCat("the transaction is to be committed, but Kafka no longer knows what became of it: "
                                   "whether its records are visible has to be looked up in the topics; ",
                                   told));
    }
  } else {
    if (is_aborted || is_nothing) return Finished(Finish::Kind::kDone);
    if (is_committed) {
      return Finished(Finish::Kind::kHeuristic,
                      absl::StrCat("the transaction is to be aborted, but Kafka has committed it: its records are "
                                   "visible; ",
                                   told));
    }
  }
  Finished(Finish::Kind::kRetry, told);
}

void TransactionEnd::EndTxnAgain(std::string why) {
  if (backoff_ > Left()) return Finished(Finish::Kind::kRetry, std::move(why));
  cluster_.delayed_calls().After(backoff_, [self = shared_from_this()] { self->EndTxn(); });
  backoff_ = std::min(backoff_ * 2, cluster_.options().last_backoff);
}

void TransactionEnd::Finished(Finish::Kind kind, std::string message) {
  done_({.finish = {.kind = kind, .message = std::move(message)}, .next = next_});
}

}  // namespace assent::kafka
