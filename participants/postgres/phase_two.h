#pragma once

#include <memory>
#include <string>

#include "assent/v1/token.pb.h"
#include "participants/participant.h"
#include "participants/postgres/connection_pool.h"

namespace assent::postgres {

// Ends prepared branches, by their tokens alone, and lists them, and looks at their server. Everything is one attempt:
// the caller repeats kRetry. Completions run inside the loop's handlers or the call.
//
// Owned by the instance; one thread.
class PhaseTwo {
 public:
  PhaseTwo(const PostgresOptions& options, const ParticipantContext& context, LoopTasks& tasks, ConnectionPool& pool)
      : options_(options), context_(context), tasks_(tasks), pool_(pool) {}

  void Commit(const v1::PostgresToken& token, Participant::FinishDone done);
  void RollBack(const v1::PostgresToken& token, Participant::FinishDone done);

  // Rolls back what may have been prepared by a backend that never answered. A late PREPARE is ruled out only once that
  // backend is gone: it is terminated, and waited for.
  void RollBackUnknown(const v1::PostgresToken& token, const BackendIdentity& backend, Participant::FinishDone done);

  void List(Participant::ListDone done);

  // What an operator may want to know of the server.
  void Inspect(Participant::InspectDone done);

 private:
  enum class Verb { kCommit, kRollBack };
  struct Attempt;
  using AttemptPtr = std::shared_ptr<Attempt>;

  void End(Verb verb, const v1::PostgresToken& token, Participant::FinishDone done);
  void Send(const AttemptPtr& attempt, const std::string& sql, Connection::OnAnswer done);
  void HandleEnded(const AttemptPtr& attempt, const Answer& answer);
  void AskStatus(const AttemptPtr& attempt);
  void HandleStatus(const AttemptPtr& attempt, const Answer& answer);
  void Fence(const AttemptPtr& attempt, const BackendIdentity& backend, int looks);
  std::string What(const Attempt& attempt) const;

  const PostgresOptions& options_;
  const ParticipantContext& context_;
  LoopTasks& tasks_;
  ConnectionPool& pool_;
};

// A gid as a literal of SQL.
std::string Quoted(const std::string& gid);

}  // namespace assent::postgres
