#include "tests/simulation/database_server.h"

#include <utility>

namespace assent::simulation {

void DatabaseServer::Crash() {
  is_up_ = false;
  for (auto& [connection, backend] : backends_) {
    if (backend.transaction_id != 0) status_[backend.transaction_id] = Status::kAborted;
    if (backend.next_message > 1) closed_.insert(connection);
  }
  backends_.clear();
}

// ---- Connections ----------------------------------------------------------------------------------------------------

void DatabaseServer::Receive(ConnectionId connection, std::uint64_t number, Command command, Reply reply) {
  if (!is_up_) return;
  if (closed_.contains(connection)) return reply({.kind = Answer::Kind::kGone});
  Backend& backend = backends_[connection];
  if (number < backend.next_message) return;  // the copy of one that was read
  if (random_.OneIn(faults_.backend_stalls)) {
    backend.stopped_until = queue_.now() + random_.Between(absl::ZeroDuration(), absl::Seconds(20));
  }
  backend.unread.emplace(number, Message{std::move(command), std::move(reply)});
  if (queue_.now() >= backend.stopped_until) return Read(connection);
  queue_.At(backend.stopped_until, [this, connection] { Read(connection); });
}

void DatabaseServer::Read(ConnectionId connection) {
  const auto found = backends_.find(connection);
  if (found == backends_.end() || queue_.now() < found->second.stopped_until) return;
  Backend& backend = found->second;
  if (backend.is_terminated) return Close(connection);
  while (true) {
    auto message = backend.unread.extract(backend.next_message);
    if (message.empty()) return;
    ++backend.next_message;
    message.mapped().reply(Run(backend, message.mapped().command));
  }
}

void DatabaseServer::Close(ConnectionId connection) {
  const auto found = backends_.find(connection);
  if (found == backends_.end()) return;
  if (found->second.transaction_id != 0) status_[found->second.transaction_id] = Status::kAborted;
  backends_.erase(found);
  closed_.insert(connection);
}

bool DatabaseServer::Terminate(ConnectionId connection) {
  const auto found = backends_.find(connection);
  // One whose first message is still on its way cannot be known; nor can it be ended.
  if (found == backends_.end() || found->second.next_message == 1) return true;
  found->second.is_terminated = true;
  if (queue_.now() < found->second.stopped_until) {
    judge_.Reached("stopped backends that outlive their end");
    return false;
  }
  Close(connection);
  return true;
}

// ---- Statements -----------------------------------------------------------------------------------------------------

DatabaseServer::Answer DatabaseServer::Run(Backend& backend, const Command& command) {
  switch (command.kind) {
    case Command::Kind::kWork:
      return Work(backend, command.text);
    case Command::Kind::kPrepare:
      return Prepare(backend, command.text);
    case Command::Kind::kRollback:
      if (backend.transaction_id != 0) status_[backend.transaction_id] = Status::kAborted;
      backend.transaction_id = 0;
      return {.tag = "ROLLBACK"};
  }
  return {};
}

DatabaseServer::Answer DatabaseServer::Work(Backend& backend, const std::string& operation) {
  if (backend.transaction_id == 0) backend.transaction_id = ++last_transaction_id_;
  status_[backend.transaction_id] = Status::kInProgress;
  if (random_.OneIn(faults_.work_fails)) backend.has_failed = true;
  if (backend.has_failed) return {.kind = Answer::Kind::kFailed, .transaction_id = backend.transaction_id};
  backend.operations.push_back(operation);
  return {.tag = "INSERT", .transaction_id = backend.transaction_id};
}

DatabaseServer::Answer DatabaseServer::Prepare(Backend& backend, const std::string& gid) {
  const std::uint64_t transaction_id = std::exchange(backend.transaction_id, 0);
  auto operations = std::exchange(backend.operations, {});
  const bool is_refused = random_.OneIn(faults_.prepare_refused) || prepared_.contains(gid);
  if (backend.has_failed || is_refused) {
    status_[transaction_id] = Status::kAborted;
    // A failed transaction answers without an error: only the tag tells.
    if (backend.has_failed) {
      judge_.Reached("refusals that only the command tag tells");
      return {.tag = "ROLLBACK", .transaction_id = transaction_id};
    }
    return {.kind = Answer::Kind::kFailed, .transaction_id = transaction_id};
  }
  prepared_[gid] = {.transaction_id = transaction_id, .operations = std::move(operations), .since = queue_.now()};
  judge_.Prepared(name_, gid);
  return {.tag = "PREPARE TRANSACTION", .transaction_id = transaction_id};
}

DatabaseServer::Ended DatabaseServer::CommitPrepared(const std::string& gid) {
  const auto found = prepared_.extract(gid);
  if (found.empty()) return Ended::kNoSuchName;
  status_[found.mapped().transaction_id] = Status::kCommitted;
  judge_.Committed(name_, gid, found.mapped().operations);
  return Ended::kDone;
}

DatabaseServer::Ended DatabaseServer::RollbackPrepared(const std::string& gid) {
  const auto found = prepared_.extract(gid);
  if (found.empty()) return Ended::kNoSuchName;
  status_[found.mapped().transaction_id] = Status::kAborted;
  judge_.RolledBack(name_, gid);
  return Ended::kDone;
}

DatabaseServer::Status DatabaseServer::StatusOf(std::uint64_t transaction_id) const {
  const auto found = status_.find(transaction_id);
  return found == status_.end() ? Status::kAborted : found->second;
}

}  // namespace assent::simulation
