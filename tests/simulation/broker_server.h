#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/simulation/judge.h"
#include "tests/simulation/network.h"
#include "tests/simulation/random.h"

namespace assent::simulation {

// A broker such as Kafka, as a server: a transaction for each transactional id, told apart by epochs, opened by its
// first record. All that it has acknowledged outlives its crash. Transactions V2 begin a new epoch at each end; V1 does
// not, so that (id, epoch) does not name one transaction there.
class BrokerServer {
 public:
  enum class State { kEmpty, kOngoing, kCompleteCommit, kCompleteAbort };
  enum class Error { kNone, kInvalidState, kFenced, kBusy };  // kBusy: something is being ended, which is not said

  struct Record {
    std::string gid;  // of the branch that produced it
    std::string operation;
  };
  struct Described {
    State state = State::kEmpty;
    std::int64_t epoch = -1;  // -1: no such id
  };
  struct Answer {
    Error error = Error::kNone;
    std::int64_t epoch = -1;  // for the next transaction, where there is no error
  };

  BrokerServer(std::string name, Random& random, Network& network, Judge& judge, bool is_v1)
      : name_(std::move(name)), random_(random), judge_(judge), machine_(network.AddMachine(name_)), is_v1_(is_v1) {}

  const std::string& name() const { return name_; }
  Network::Machine machine() const { return machine_; }
  bool is_v1() const { return is_v1_; }
  bool is_up() const { return is_up_; }
  void Crash() { is_up_ = false; }
  void Restart() { is_up_ = true; }

  // Begins a new epoch, and aborts what is open. Fenced where the id has another epoch than expected.
  Answer InitProducerId(const std::string& id, std::int64_t expected_epoch);
  // The `number`th batch of the transaction.
  Error Produce(const std::string& id, std::int64_t epoch, std::uint64_t number, const std::vector<Record>& records);
  Answer EndTxn(const std::string& id, std::int64_t epoch, bool commit);
  Described Describe(const std::string& id) const;
  std::vector<std::string> List() const;

  // Whether records of this branch are open.
  bool Holds(const std::string& gid) const;
  bool HoldsAnythingOpen() const;
  // An id of somebody else, with a transaction open.
  void OpenForeign(const std::string& id) { ids_[id] = {.state = State::kOngoing, .epoch = 0, .is_foreign = true}; }

 private:
  struct Id {
    State state = State::kEmpty;
    std::int64_t epoch = 0;
    bool is_foreign = false;
    std::set<std::uint64_t> numbers;  // of the batches seen in this epoch
    std::vector<Record> open;
  };

  void Close(Id& id, bool commit);

  const std::string name_;
  Random& random_;
  Judge& judge_;
  const Network::Machine machine_;
  const bool is_v1_;
  bool is_up_ = true;
  std::map<std::string, Id> ids_;
};

}  // namespace assent::simulation
