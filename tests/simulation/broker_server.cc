#include "tests/simulation/broker_server.h"

#include <algorithm>

namespace assent::simulation {

BrokerServer::Answer BrokerServer::InitProducerId(const std::string& name, std::int64_t expected_epoch) {
  const auto found = ids_.find(name);
  if (found == ids_.end()) {
    if (expected_epoch != -1) return {.error = Error::kFenced};
    ids_[name] = {};
    return {.epoch = 0};
  }
  Id& id = found->second;
  if (id.is_foreign) judge_.Broken("foreign transactional id ", name, " was fenced");
  if (id.epoch != expected_epoch) return {.error = Error::kFenced};
  if (id.state == State::kOngoing) Close(id, /*commit=*/false);
  id.numbers.clear();
  return {.epoch = ++id.epoch};
}

BrokerServer::Error BrokerServer::Produce(const std::string& name, std::int64_t epoch, std::uint64_t number,
                                          const std::vector<Record>& records) {
  const auto found = ids_.find(name);
  if (found == ids_.end() || found->second.epoch != epoch) return Error::kFenced;
  Id& id = found->second;
  if (!id.numbers.insert(number).second) return Error::kNone;  // a copy
  id.state = State::kOngoing;
  id.open.insert(id.open.end(), records.begin(), records.end());
  return Error::kNone;
}

BrokerServer::Answer BrokerServer::EndTxn(const std::string& name, std::int64_t epoch, bool commit) {
  const auto found = ids_.find(name);
  if (found == ids_.end()) return {.error = Error::kInvalidState};
  Id& id = found->second;
  if (id.is_foreign) judge_.Broken("foreign transactional id ", name, " was ended");
  const State asked = commit ? State::kCompleteCommit : State::kCompleteAbort;
  if (epoch == id.epoch && id.state == State::kOngoing) {
    Close(id, commit);
    if (!is_v1_) ++id.epoch, id.numbers.clear();
    return {.epoch = id.epoch};
  }
  const bool is_repeat = epoch == (is_v1_ ? id.epoch : id.epoch - 1);
  if (is_repeat && random_.OneIn(2)) return {.error = Error::kBusy};  // its markers are still being written
  if (is_repeat && id.state == asked) return {.epoch = id.epoch};
  return {.error = is_repeat ? Error::kInvalidState : Error::kFenced};
}

void BrokerServer::Close(Id& id, bool commit) {
  id.state = commit ? State::kCompleteCommit : State::kCompleteAbort;
  std::map<std::string, std::vector<std::string>> branches;
  for (const Record& record : id.open) branches[record.gid].push_back(record.operation);
  id.open.clear();
  for (const auto& [gid, operations] : branches) {
    if (commit) {
      judge_.Committed(name_, gid, operations);
    } else {
      judge_.RolledBack(name_, gid);
    }
  }
}

BrokerServer::Described BrokerServer::Describe(const std::string& name) const {
  const auto found = ids_.find(name);
  if (found == ids_.end()) return {};
  return {.state = found->second.state, .epoch = found->second.epoch};
}

std::vector<std::string> BrokerServer::List() const {
  std::vector<std::string> names;
  for (const auto& [name, id] : ids_) names.push_back(name);
  return names;
}

bool BrokerServer::Holds(const std::string& gid) const {
  return std::any_of(ids_.begin(), ids_.end(), [&](const auto& entry) {
    const std::vector<Record>& open = entry.second.open;
    return std::any_of(open.begin(), open.end(), [&](const Record& record) { return record.gid == gid; });
  });
}

bool BrokerServer::HoldsAnythingOpen() const {
  return std::any_of(ids_.begin(), ids_.end(), [](const auto& entry) {
    return entry.second.state == State::kOngoing && !entry.second.is_foreign;
  });
}

}  // namespace assent::simulation
