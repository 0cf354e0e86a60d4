#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "participants/participant.h"
#include "participants/participant_context.h"
#include "participants/postgres/connection.h"
#include "participants/postgres/loop_tasks.h"
#include "participants/postgres/postgres_participant.h"

namespace assent::postgres {

// The connections of one instance: one that is kept for finishing branches, and those that branches hold while they
// work, opened as they are needed and kept. The kept one says whether the participant is available: it is opened at
// once, and again and again while it is down.
//
// Owned by the instance; one thread, its loop's.
class ConnectionPool {
 public:
  using ConnectionPtr = std::shared_ptr<Connection>;
  using Granted = absl::AnyInvocable<void(ConnectionPtr connection, const BranchError& error)>;  // one of the two
  using WaiterId = std::uint64_t;                                                                // 0: none

  // `bound`: this shard's share of max_connections. `on_available` runs each time that the kept connection comes up.
  ConnectionPool(const PostgresOptions& options, const ParticipantContext& context, LoopTasks& tasks,
                 std::uint32_t bound, std::uint32_t max_waiters);
  ~ConnectionPool();

  void Start(std::function<void()> on_available);

  // Grants a connection outside any transaction, at once or when one is free: until `patience` has passed. `granted`
  // may run inside the call. Whoever got it gives it back with Release(), unless it has ended.
  WaiterId Acquire(absl::Duration patience, Granted granted);
  void CancelWaiter(WaiterId& waiter);  // and sets it to 0

  // How much of the session's reset is still to be done when a connection comes back.
  enum class Reset {
    kAll,
    kAllAndPrepared,  // and the branch ran what can prepare statements behind our back
    kRest,            // SendReset() was done
  };
  // Takes it back after the last command of a branch was sent: resets the session and lends it on.
  void Release(const ConnectionPtr& connection, Reset reset);

  // Ends a connection whose backend may be busy, and terminates that: closing alone would let it run on.
  void Terminate(const ConnectionPtr& connection, BranchError why);

  // The connection with the least to do that is in no transaction: for finishing branches, which needs no connection of
  // its own. Nothing where the participant is down. Where even that one has much to do, another one is opened.
  ConnectionPtr ForFinish();

  bool is_available() const { return kept_ != nullptr && kept_->is_ready(); }
  ParticipantHealth health() const;
  // Of the server that was last seen; 0 where prepared transactions are disabled, -1 while none was seen.
  std::int64_t max_prepared_transactions() const { return max_prepared_transactions_; }

 private:
  struct Waiter {
    WaiterId id = 0;
    Granted granted;
    LoopTasks::AlarmId alarm = 0;
  };

  ConnectionPtr Make(std::function<void()> ready, std::function<void(const BranchError&)> ended);
  void OpenKept();
  void KeptEnded(const BranchError& why);
  absl::Duration ReconnectDelay();
  void OpenWorkingIfNeeded();
  bool MayOpenWorking() const { return open_alarm_ == 0 && working_.size() < max_working_; }
  void OpenWorking();
  void WorkingReady(Connection* connection);
  void WorkingEnded(Connection* connection, bool was_ready, const BranchError& why);
  void Lend(const ConnectionPtr& connection);
  void GrantWaiters();
  void FailWaiters(const BranchError& error);
  void WaiterTimedOut(WaiterId id);
  void WarnOfSettings(const ServerSettings& settings);

  const PostgresOptions& options_;
  const ParticipantContext& context_;
  LoopTasks& tasks_;
  const std::uint32_t max_working_;
  const std::uint32_t max_waiters_;
  std::function<void()> on_available_;
  std::mt19937 jitter_;

  ConnectionPtr kept_;
  bool kept_was_tried_ = false;  // since Start(): before, nobody knows whether the participant is down
  std::uint32_t failed_attempts_ = 0;
  LoopTasks::AlarmId reconnect_alarm_ = 0;
  std::string last_error_;

  std::vector<ConnectionPtr> working_;  // connecting, idle or held by a branch
  std::vector<ConnectionPtr> idle_;     // of these; the last one was used last
  std::uint32_t connecting_ = 0;
  LoopTasks::AlarmId open_alarm_ = 0;  // after a failed attempt, no other one before

  std::list<Waiter> waiters_;  // first come, first served
  WaiterId last_waiter_ = 0;
  std::int64_t max_prepared_transactions_ = -1;
  std::string server_version_;
  bool warned_ = false;
};

}  // namespace assent::postgres
