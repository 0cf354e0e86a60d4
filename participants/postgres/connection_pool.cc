#include "participants/postgres/connection_pool.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/jitter.h"
#include "participants/postgres/errors.h"
#include "participants/postgres/server_findings.h"

namespace assent::postgres {
namespace {

// Unanswered commands, of which finishing a branch is two, that are much to do for one connection: the server works on
// one at a time, and waits for its disk with each.
constexpr std::size_t kMuchToDo = 8;
constexpr std::uint32_t kMostConnectingForFinishes = 2;

// Numbers the connections of this process: part of each application_name.
std::atomic<std::uint64_t> connections_made{0};

void Remove(std::vector<ConnectionPool::ConnectionPtr>& from, const Connection* connection) {
  from.erase(std::remove_if(from.begin(), from.end(), [&](const auto& held) { return held.get() == connection; }),
             from.end());
}

}  // namespace

ConnectionPool::ConnectionPool(const PostgresOptions& options, const ParticipantContext& context, LoopTasks& tasks,
                               std::uint32_t bound, std::uint32_t max_waiters)
    : options_(options),
      context_(context),
      tasks_(tasks),
      max_working_(bound - 1),
      max_waiters_(max_waiters),
      jitter_(std::random_device{}()) {}

ConnectionPool::~ConnectionPool() {
  if (kept_) kept_->Abandon();
  for (const ConnectionPtr& connection : working_) connection->Abandon();
}

void ConnectionPool::Start(std::function<void()> on_available) {
  on_available_ = std::move(on_available);
  OpenKept();
}

ConnectionPool::ConnectionPtr ConnectionPool::Make(std::function<void()> ready,
                                                   std::function<void(const BranchError&)> ended) {
  Connection::Settings settings;
  settings.conninfo = options_.conninfo;
  settings.application_name = absl::StrFormat("assent/%s/%016x/%d/%d", context_.coordinator.name,
                                              context_.coordinator.incarnation, context_.epoch, ++connections_made);
  settings.max_prepared_statements = options_.max_prepared_statements;
  auto connection = std::make_shared<Connection>(context_.loop, tasks_, std::move(settings),
                                                 Connection::Events{std::move(ready), std::move(ended)});
  connection->Open();
  tasks_.After(options_.connect_timeout, [weak = std::weak_ptr(connection), this] {
    const ConnectionPtr opened = weak.lock();
    if (!opened || opened->is_ready() || opened->has_ended()) return;
    opened->Close(Unavailable(
        absl::StrCat("participant \"", options_.name,
                     "\": no connection within connect_timeout = ", absl::FormatDuration(options_.connect_timeout))));
  });
  return connection;
}

// ---- The kept connection --------------------------------------------------------------------------------------------

void ConnectionPool::OpenKept() {
  kept_ = Make(
      [this] {
        kept_was_tried_ = true;
        if (std::exchange(failed_attempts_, 0) > 0) {
          spdlog::info("participant \"{}\": PostgreSQL can be reached again", options_.name);
        }
        last_error_.clear();
        max_prepared_transactions_ = kept_->server_settings().max_prepared_transactions;
        server_version_ = kept_->server_settings().version;
        WarnOfSettings(kept_->server_settings());
        OpenWorkingIfNeeded();
        if (on_available_) on_available_();
      },
      [this](const BranchError& why) { KeptEnded(why); });
}

void ConnectionPool::KeptEnded(const BranchError& why) {
  if (failed_attempts_ == 0) {
    spdlog::warn("participant \"{}\" cannot be reached, and is tried again until it can: {}", options_.name,
                 why.message);
  }
  kept_was_tried_ = true;
  kept_ = nullptr;
  last_error_ = why.message;
  if (idle_.empty() && working_.size() == connecting_) FailWaiters(why);
  reconnect_alarm_ = tasks_.After(ReconnectDelay(), [this] { OpenKept(); });
}

absl::Duration ConnectionPool::ReconnectDelay() {
  const std::uint32_t doublings = std::min(failed_attempts_++, 20u);
  const absl::Duration bounded =
      std::min(options_.first_reconnect_delay * (1 << doublings), options_.last_reconnect_delay);
  return Jittered(bounded, jitter_);
}

void ConnectionPool::WarnOfSettings(const ServerSettings& settings) {
  if (std::exchange(warned_, true)) return;
  for (const v1::Finding& finding : FindingsOf(settings)) {
    spdlog::warn("participant \"{}\": {}: {}", options_.name, finding.what(), finding.fix());
  }
}

// ---- Working connections --------------------------------------------------------------------------------------------

void ConnectionPool::OpenWorkingIfNeeded() {
  while (connecting_ < waiters_.size() && MayOpenWorking()) OpenWorking();
}

void ConnectionPool::OpenWorking() {
  struct Made {
    Connection* connection = nullptr;
    bool was_ready = false;
  };
  auto made = std::make_shared<Made>();
  ++connecting_;
  working_.push_back(Make(
      [this, made] {
        made->was_ready = true;
        WorkingReady(made->connection);
      },
      [this, made](const BranchError& why) { WorkingEnded(made->connection, made->was_ready, why); }));
  made->connection = working_.back().get();
}

void ConnectionPool::WorkingReady(Connection* connection) {
  --connecting_;
  idle_.push_back(connection->shared_from_this());
  GrantWaiters();
}

void ConnectionPool::WorkingEnded(Connection* connection, bool was_ready, const BranchError& why) {
  Remove(idle_, connection);
  Remove(working_, connection);
  if (!was_ready) {
    --connecting_;
    last_error_ = why.message;
    // Who has other connections waits for those; nobody waits for none.
    if (working_.size() == connecting_) FailWaiters(why);
    if (open_alarm_ == 0) {
      open_alarm_ = tasks_.After(options_.first_reconnect_delay, [this] {
        open_alarm_ = 0;
        OpenWorkingIfNeeded();
      });
    }
    return;
  }
  OpenWorkingIfNeeded();
}

void ConnectionPool::Release(const ConnectionPtr& connection, Reset reset) {
  if (connection->has_ended()) return;
  if (connection->tainted()) {
    connection->Sync([connection](bool lost) {
      BranchError error;
      error.message = "the session was used for prepared statements of its own, and is not lent again";
      if (!lost) connection->Close(error);
    });
    return;
  }
  switch (reset) {
    case Reset::kRest:
      connection->ResetRest();
      return Lend(connection);
    case Reset::kAll:
      connection->ResetSession(/*find_prepared=*/false, [](bool) {});
      return Lend(connection);
    case Reset::kAllAndPrepared:
      // What the branch prepared must be known before anybody else can execute it.
      connection->ResetSession(/*find_prepared=*/true, [this, connection](bool lost) {
        if (lost) return;
        connection->tainted() ? Release(connection, Reset::kRest) : Lend(connection);
      });
      return;
  }
}

void ConnectionPool::Lend(const ConnectionPtr& connection) {
  idle_.push_back(connection);
  GrantWaiters();
}

void ConnectionPool::Terminate(const ConnectionPtr& connection, BranchError why) {
  const int pid = connection->backend().pid;
  connection->Close(std::move(why));
  if (!is_available()) return;
  kept_->Send(absl::StrCat("SELECT pg_catalog.pg_terminate_backend(", pid, ")"), [](const Answer&) {});
  kept_->Sync([](bool) {});
}

ConnectionPool::ConnectionPtr ConnectionPool::ForFinish() {
  // Of equals the one that was used last: its caches are warm.
  const auto idle = std::min_element(idle_.rbegin(), idle_.rend(),
                                     [](const auto& a, const auto& b) { return a->unanswered() < b->unanswered(); });
  ConnectionPtr best = is_available() ? kept_ : nullptr;
  if (idle != idle_.rend() && (best == nullptr || (*idle)->unanswered() <= best->unanswered())) best = *idle;
  const bool is_busy = best != nullptr && best->unanswered() >= kMuchToDo;
  if (is_busy && connecting_ < kMostConnectingForFinishes && MayOpenWorking()) OpenWorking();
  return best;
}

// ---- Waiting for one ------------------------------------------------------------------------------------------------

ConnectionPool::WaiterId ConnectionPool::Acquire(absl::Duration patience, Granted granted) {
  const auto refuse = [&](BranchError error) {
    tasks_.Soon([granted = std::move(granted), error = std::move(error)]() mutable { granted(nullptr, error); });
    return WaiterId{0};
  };
  if (idle_.empty() && !is_available() && kept_was_tried_ && working_.size() == connecting_) {
    return refuse(Unavailable(absl::StrCat("participant \"", options_.name, "\" cannot be reached: ", last_error_)));
  }
  if (waiters_.size() >= max_waiters_) {
    BranchError error;
    error.code = absl::StatusCode::kResourceExhausted;
    error.retryable = true;
    error.message = absl::StrCat(
        "participant \"", options_.name, "\": ", waiters_.size(),
        " branches wait for a connection already (max_waiting_branches = ", options_.max_waiting_branches,
        ", max_connections = ", options_.max_connections, ", both split over ", context_.shard_count, " shards)");
    return refuse(std::move(error));
  }
  Waiter& waiter = waiters_.emplace_back();
  waiter.id = ++last_waiter_;
  waiter.granted = std::move(granted);
  waiter.alarm = tasks_.After(patience, [this, id = waiter.id] { WaiterTimedOut(id); });
  const WaiterId id = waiter.id;
  if (!idle_.empty()) {
    GrantWaiters();
  } else {
    OpenWorkingIfNeeded();
  }
  return id;
}

void ConnectionPool::CancelWaiter(WaiterId& waiter) {
  const WaiterId id = std::exchange(waiter, 0);
  const auto found = std::find_if(waiters_.begin(), waiters_.end(), [&](const Waiter& w) { return w.id == id; });
  if (id == 0 || found == waiters_.end()) return;
  tasks_.Cancel(found->alarm);
  waiters_.erase(found);
}

void ConnectionPool::GrantWaiters() {
  while (!waiters_.empty() && !idle_.empty()) {
    // One that has answered everything, if there is such; else the one that was given back first.
    auto chosen = std::find_if(idle_.rbegin(), idle_.rend(), [](const auto& c) { return c->unanswered() == 0; });
    const ConnectionPtr connection = chosen == idle_.rend() ? idle_.front() : *chosen;
    Remove(idle_, connection.get());
    Waiter waiter = std::move(waiters_.front());
    waiters_.pop_front();
    tasks_.Cancel(waiter.alarm);
    waiter.granted(connection, {});
  }
}

void ConnectionPool::FailWaiters(const BranchError& error) {
  std::list<Waiter> waiters = std::exchange(waiters_, {});
  for (Waiter& waiter : waiters) {
    tasks_.Cancel(waiter.alarm);
    waiter.granted(nullptr, error);
  }
}

void ConnectionPool::WaiterTimedOut(WaiterId id) {
  const auto found = std::find_if(waiters_.begin(), waiters_.end(), [&](const Waiter& w) { return w.id == id; });
  if (found == waiters_.end()) return;
  Waiter waiter = std::move(*found);
  waiters_.erase(found);
  BranchError error;
  error.code = absl::StatusCode::kResourceExhausted;
  error.retryable = true;
  error.message = absl::StrCat("participant \"", options_.name, "\": all ", max_working_,
                               " connections for branches were busy until the transaction's deadline; raise "
                               "max_connections = ",
                               options_.max_connections, " (split over ", context_.shard_count,
                               " shards, one of each kept for recovery), or hold transactions open for less long");
  waiter.granted(nullptr, error);
}

ParticipantHealth ConnectionPool::health() const {
  if (!is_available()) {
    return {.available = false, .message = last_error_.empty() ? "connecting" : last_error_};
  }
  const std::size_t open = working_.size() - connecting_;
  return {.available = true,
          .message = absl::StrCat("PostgreSQL ", server_version_, ", ", 1 + open - idle_.size(), " of ",
                                  1 + max_working_, " connections in use (this shard's part of max_connections = ",
                                  options_.max_connections, "), ", waiters_.size(), " branches waiting")};
}

}  // namespace assent::postgres
