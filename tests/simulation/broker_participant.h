#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/ids.h"
#include "participants/participant.h"
#include "tests/simulation/broker_server.h"
#include "tests/simulation/judge.h"
#include "tests/simulation/process.h"
#include "tests/simulation/remote_calls.h"

namespace assent::simulation {

// The adapter of a BrokerServer: records are kept until the branch prepares, and are produced then, under a
// transactional id that nothing else uses until the branch is forgotten.
class BrokerParticipant final : public Participant {
 public:
  struct Place {
    std::uint32_t shard = 0;
    std::uint32_t shards = 1;
  };

  BrokerParticipant(BrokerServer& server, CoordinatorId coordinator, Place place, RemoteCalls calls, Loop& loop,
                    Judge& judge)
      : server_(server),
        coordinator_(std::move(coordinator)),
        place_(place),
        calls_(std::move(calls)),
        loop_(loop),
        judge_(judge) {}

  std::string_view name() const override { return server_.name(); }
  ParticipantKind kind() const override { return ParticipantKind::kBroker; }
  void Start(std::vector<std::string> unfinished_tokens, std::function<void()> on_available) override;
  void TakeOver() override;
  absl::Status Open(const BranchId& branch, const v1::BranchOptions& options, absl::Time deadline) override;
  void Execute(const BranchId& branch, v1::Operation operation, ExecuteDone done) override;
  void Prepare(const BranchId& branch, PrepareDone done) override;
  void Commit(const BranchId& branch, const std::string& token, FinishDone done) override;
  void Abort(const BranchId& branch, const std::string& token, FinishDone done) override;
  void Forget(const BranchId& branch, const std::string& token) override;
  void ListOwn(ListDone done) override;
  ParticipantHealth health() const override { return {.available = is_reached_}; }

 private:
  // A transactional id, ready for a transaction at this epoch.
  struct Session {
    std::uint32_t number = 0;
    std::int64_t epoch = 0;
  };
  struct Branch {
    std::vector<BrokerServer::Record> records;
    bool is_ordered = true;
    std::optional<Session> session;  // that its records are produced in
    bool is_prepared = false;
    bool is_in_doubt = false;     // its vote never came
    std::optional<Session> next;  // for the next transaction of its id; none: to be fenced
  };
  struct Waiter {
    std::string gid;
    BranchId branch;
    PrepareDone done;
  };

  std::string IdOf(std::uint32_t number) const;
  static std::string TokenOf(const Session& session);
  static std::optional<Session> ParseToken(const std::string& token);

  template <typename Answer>
  void Ask(std::function<Answer(BrokerServer&)> request, absl::AnyInvocable<void(std::optional<Answer>)> done);
  void Reached(bool is_reached);

  void FenceLeftBehind();
  void Fence(std::uint32_t number);
  void FenceAgain(std::uint32_t number);
  void ServeWaiters();
  void Produce(const BranchId& id, int attempts, PrepareDone done);
  void AbortInDoubt(const BranchId& id, Session session, FinishDone done);
  void EndTxn(const BranchId& id, Session session, bool commit, FinishDone done);
  void Describe(Session session, bool commit, FinishDone done);

  BrokerServer& server_;
  const CoordinatorId coordinator_;
  const Place place_;
  RemoteCalls calls_;
  Loop& loop_;
  Judge& judge_;
  std::function<void()> on_available_;
  bool is_reached_ = false;
  std::set<std::uint32_t> pinned_;  // by decisions of earlier processes
  std::set<std::uint32_t> known_;   // ids of this shard's pool, whatever they do now
  std::map<std::uint32_t, Session> free_;
  std::map<std::string, Branch> branches_;  // by gid
  std::deque<Waiter> waiters_;
};

}  // namespace assent::simulation
