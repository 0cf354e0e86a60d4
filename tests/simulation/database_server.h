#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/simulation/event_queue.h"
#include "tests/simulation/faults.h"
#include "tests/simulation/judge.h"
#include "tests/simulation/network.h"
#include "tests/simulation/random.h"

namespace assent::simulation {

// A database such as PostgreSQL, as a server: connections with a backend each, PREPARE TRANSACTION, command tags. What
// is prepared or committed outlives its crash; backends do not.
//
// A connection is opened by its first message, and carries its messages in order, whatever the network does to them:
// a message whose predecessor is missing waits for it. So whole transactions may arrive long after their client has
// given them up, its PREPARE included.
class DatabaseServer {
 public:
  using ConnectionId = std::uint64_t;

  struct Command {
    enum class Kind { kWork, kPrepare, kRollback };
    Kind kind = Kind::kWork;
    std::string text;  // of kWork: the operation; of kPrepare: the gid
  };
  struct Answer {
    enum class Kind { kOk, kFailed, kGone };  // kGone: no such connection any more
    Kind kind = Kind::kOk;
    std::string tag;                   // of kOk: "INSERT", "PREPARE TRANSACTION", "ROLLBACK"
    std::uint64_t transaction_id = 0;  // of the transaction that the command ran in
  };
  using Reply = std::function<void(Answer)>;

  // What COMMIT PREPARED and ROLLBACK PREPARED answer.
  enum class Ended { kDone, kNoSuchName };
  enum class Status { kInProgress, kCommitted, kAborted };
  struct Prepared {
    std::uint64_t transaction_id = 0;
    std::vector<std::string> operations;
    absl::Duration since;
  };

  DatabaseServer(std::string name, EventQueue& queue, Random& random, Network& network, const Faults& faults,
                 Judge& judge)
      : name_(std::move(name)),
        queue_(queue),
        random_(random),
        faults_(faults),
        judge_(judge),
        machine_(network.AddMachine(name_)) {}

  const std::string& name() const { return name_; }
  Network::Machine machine() const { return machine_; }
  bool is_up() const { return is_up_; }
  void Crash();
  void Restart() { is_up_ = true; }

  // A message of a connection, the `number`th from 1.
  void Receive(ConnectionId connection, std::uint64_t number, Command command, Reply reply);

  // Statements on a fresh connection. The server is up.
  Ended CommitPrepared(const std::string& gid);
  Ended RollbackPrepared(const std::string& gid);
  Status StatusOf(std::uint64_t transaction_id) const;
  // Ends a backend; false while it is still there: a stopped one stays listed until it wakes.
  bool Terminate(ConnectionId connection);

  const std::map<std::string, Prepared>& prepared() const { return prepared_; }
  // Prepared by somebody else.
  void PrepareForeign(const std::string& gid) { prepared_[gid] = {.transaction_id = 0, .operations = {"foreign"}}; }

 private:
  struct Message {
    Command command;
    Reply reply;
  };
  struct Backend {
    std::map<std::uint64_t, Message> unread;
    std::uint64_t next_message = 1;
    absl::Duration stopped_until = absl::ZeroDuration();
    bool is_terminated = false;
    std::uint64_t transaction_id = 0;  // 0: none is open
    bool has_failed = false;
    std::vector<std::string> operations;
  };

  void Read(ConnectionId connection);
  Answer Run(Backend& backend, const Command& command);
  Answer Work(Backend& backend, const std::string& operation);
  Answer Prepare(Backend& backend, const std::string& gid);
  void Close(ConnectionId connection);

  const std::string name_;
  EventQueue& queue_;
  Random& random_;
  const Faults& faults_;
  Judge& judge_;
  const Network::Machine machine_;
  bool is_up_ = true;
  std::uint64_t last_transaction_id_ = 0;
  std::map<ConnectionId, Backend> backends_;
  std::set<ConnectionId> closed_;  // never open again
  std::map<std::string, Prepared> prepared_;
  std::map<std::uint64_t, Status> status_;
};

}  // namespace assent::simulation
