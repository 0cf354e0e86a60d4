#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "participants/participant.h"
#include "tests/simulation/database_server.h"
#include "tests/simulation/judge.h"
#include "tests/simulation/process.h"
#include "tests/simulation/remote_calls.h"

namespace assent::simulation {

// The adapter of a DatabaseServer: the participant port over the network, with time-outs that are unknown. A branch has
// a connection of its own, from its first operation to its vote.
class DatabaseParticipant final : public Participant {
 public:
  DatabaseParticipant(DatabaseServer& server, const CoordinatorId& coordinator, RemoteCalls calls, Loop& loop,
                      Judge& judge, std::uint64_t& last_connection)
      : server_(server),
        coordinator_(coordinator),
        calls_(std::move(calls)),
        loop_(loop),
        judge_(judge),
        last_connection_(last_connection) {}

  std::string_view name() const override { return server_.name(); }
  ParticipantKind kind() const override { return ParticipantKind::kDatabase; }
  void Start(std::vector<std::string>, std::function<void()> on_available) override { on_available_ = on_available; }
  void TakeOver() override {}
  absl::Status Open(const BranchId& branch, const v1::BranchOptions& options, absl::Time deadline) override;
  void Execute(const BranchId& branch, v1::Operation operation, ExecuteDone done) override;
  void Prepare(const BranchId& branch, PrepareDone done) override;
  void Commit(const BranchId& branch, const std::string& token, FinishDone done) override;
  void Abort(const BranchId& branch, const std::string& token, FinishDone done) override;
  void Forget(const BranchId& branch, const std::string&) override;
  void ListOwn(ListDone done) override;
  ParticipantHealth health() const override { return {.available = is_reached_}; }

 private:
  struct Branch {
    DatabaseServer::ConnectionId connection = 0;  // 0: none
    std::uint64_t messages = 0;
    bool is_doomed = false;    // an operation failed, or the connection is lost
    bool is_in_doubt = false;  // its vote never came
  };

  void Send(Branch& branch, DatabaseServer::Command command,
            absl::AnyInvocable<void(std::optional<DatabaseServer::Answer>)> done);
  Vote Judged(const std::string& gid, const std::optional<DatabaseServer::Answer>& answer);
  // One statement on a connection of its own.
  template <typename Answer>
  void Ask(std::function<Answer(DatabaseServer&)> statement, absl::AnyInvocable<void(std::optional<Answer>)> done);
  void AskWhatBecame(std::uint64_t transaction_id, FinishDone done);
  void Reached(bool is_reached);

  DatabaseServer& server_;
  const CoordinatorId coordinator_;
  RemoteCalls calls_;
  Loop& loop_;
  Judge& judge_;
  std::uint64_t& last_connection_;  // of the whole run
  std::function<void()> on_available_;
  bool is_reached_ = false;
  std::map<std::string, Branch> branches_;  // by gid
};

}  // namespace assent::simulation
