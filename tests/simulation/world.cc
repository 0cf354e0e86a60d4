#include "tests/simulation/world.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/failpoint.h"
#include "tests/simulation/broker_participant.h"
#include "tests/simulation/database_participant.h"

namespace assent {
namespace {

simulation::Process* process_at_failpoints = nullptr;  // the one that runs

}  // namespace

// In place of base/failpoint_off.cc: at each of these places the process may die.
void HitFailpoint(Failpoint) {
  if (process_at_failpoints != nullptr) process_at_failpoints->MayAct();
}

// In place of base/check.cc, which ends the process.
void CheckFailed(const char* file, int line, const char* condition, const char* message) {
  throw simulation::CheckFailure{absl::StrCat(file, ":", line, ": check failed: ", condition, ": ", message)};
}

}  // namespace assent

namespace assent::simulation {
namespace {

// The name is the beginning of another coordinator's, whose work must stay untouched.
const CoordinatorId kOurs{.name = "a", .incarnation = 0x5f0cab12d3e4f567};
const CoordinatorId kNeighbour{.name = "a1", .incarnation = 0x5f0cab12d3e4f567};
const CoordinatorId kNamesake{.name = "a", .incarnation = 0x1111111111111111};

constexpr absl::Duration kLongestStall = absl::Seconds(20);
constexpr absl::Duration kTimeToHeal = absl::Seconds(90);  // from when the last late message has arrived
constexpr absl::Duration kTimeToServe = absl::Seconds(30);

class World {
 public:
  World(std::uint64_t seed, KeepTrace keep_trace);
  ~World();

  RunResult Run();

 private:
  void DrawFaults();
  void MakeStores();
  void LeaveForeignWork();
  void StartCoordinator();
  std::vector<std::unique_ptr<Participant>> MakeParticipants(const ProcessPtr& process, Loop& loop,
                                                             std::uint32_t shard);
  bool Holds(const std::string& participant, const std::string& gid) const;

  // Runs one event, and what it brings about.
  void Step();
  template <typename Until>
  bool RunUntil(absl::Duration deadline, Until until);
  void BuryCoordinator();
  void GiveTheWrongFolder();
  void EndTheWrongStart();
  void TakeTheWrongFolderAway();
  std::string WhatGivesTheFolderAway() const;
  void DoHarm();
  void CrashSomeStore(absl::Duration longest);
  void FailPower();
  void Heal();
  std::string WhatIsUnrest() const;
  void CheckThatItServes();
  void CheckForeignWork();
  std::unique_ptr<Client> MakeClient(const std::string& name, std::uint64_t jobs);

  EventQueue queue_;
  Random random_;
  Trace trace_;
  Faults faults_;
  Judge judge_;
  Network network_;
  WallClock wall_clock_;
  Disk disk_;
  Disk backup_;                       // of before the last start
  std::unique_ptr<Disk> wrong_disk_;  // in place of disk_
  Faults faults_before_;              // that one came
  CoordinatorMachine coordinator_;
  ProcessPtr process_;
  EngineOptions options_;
  std::uint32_t most_shards_ = 1;
  std::vector<std::unique_ptr<DatabaseServer>> databases_;
  std::vector<std::unique_ptr<BrokerServer>> brokers_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<std::string> foreign_gids_;
  std::uint64_t last_connection_ = 0;
  bool is_healing_ = false;
  std::uint64_t events_until_harm_ = 0;
  std::uint64_t harm_every_ = 0;  // so many events, about; 0: never
  RunResult result_;
};

// ---- Making ---------------------------------------------------------------------------------------------------------

World::World(std::uint64_t seed, KeepTrace keep_trace)
    : random_(seed),
      trace_(queue_, keep_trace == KeepTrace::kYes),
      judge_(trace_, kOurs),
      network_(queue_, random_, trace_, faults_),
      disk_{.coordinator = kOurs},
      coordinator_(network_, judge_) {
  DrawFaults();
  MakeStores();
  LeaveForeignWork();
  judge_.KnowParticipants([this](const std::string& name, const std::string& gid) { return Holds(name, gid); });
  most_shards_ = static_cast<std::uint32_t>(random_.Between(1, 3));
  options_.default_timeout = absl::Seconds(4);
  options_.sweep_interval = absl::Seconds(5);
  options_.last_retry = absl::Seconds(2);
  options_.max_remembered = random_.OneIn(2) ? 2 : 100;
  if (random_.OneIn(8)) options_.max_open = 2;
  const std::uint64_t clients = random_.Between(1, 3);
  for (std::uint64_t i = 0; i < clients; ++i) {
    clients_.push_back(MakeClient(absl::StrCat("c", i), random_.Between(1, 6)));
    clients_.back()->Start(absl::Seconds(3));
  }
  StartCoordinator();
}

World::~World() {
  if (process_) process_->Die();
  process_at_failpoints = nullptr;
  coordinator_.process.reset();
}

// Each kind in half of the seeds.
void World::DrawFaults() {
  const auto draw = [this](std::uint64_t least, std::uint64_t most) {
    return random_.OneIn(2) ? random_.Between(least, most) : 0;
  };
  faults_.lost = draw(10, 100);
  faults_.doubled = draw(5, 50);
  faults_.slow = draw(5, 50);
  faults_.slowest = random_.Between(absl::Milliseconds(100), absl::Seconds(30));
  faults_.work_fails = draw(10, 100);
  faults_.prepare_refused = draw(10, 100);
  faults_.backend_stalls = draw(20, 100);
  faults_.sync_fails = draw(20, 200);
  faults_.sync_slow = draw(5, 20);
  faults_.lookup_refused = draw(5, 20);
  faults_.dies_at_a_step = draw(100, 1000);
  faults_.power_fails = draw(3, 20);
  harm_every_ = draw(50, 500);
  events_until_harm_ = harm_every_;
}

void World::MakeStores() {
  const std::uint64_t databases = random_.Between(1, 2);
  for (std::uint64_t i = 0; i < databases; ++i) {
    databases_.push_back(
        std::make_unique<DatabaseServer>(absl::StrCat("db", i), queue_, random_, network_, faults_, judge_));
  }
  const std::uint64_t brokers = random_.Between(0, 2);
  for (std::uint64_t i = 0; i < brokers; ++i) {
    brokers_.push_back(
        std::make_unique<BrokerServer>(absl::StrCat("kafka", i), random_, network_, judge_, random_.OneIn(2)));
  }
}

void World::LeaveForeignWork() {
  foreign_gids_ = {"somebody's", BranchId{{kNeighbour, 1, 0, 1}, "db0"}.ToGid()};
  options_.adopt = random_.OneIn(8);
  // Under our name: only who was told to leave it alone may start.
  if (options_.adopt) foreign_gids_.push_back(BranchId{{kNamesake, 1, 0, 1}, "db0"}.ToGid());
  for (const std::string& gid : foreign_gids_) databases_[0]->PrepareForeign(gid);
  for (const auto& broker : brokers_) {
    broker->OpenForeign(TransactionalId{kNeighbour, 0}.ToString());
    if (options_.adopt) broker->OpenForeign(TransactionalId{kNamesake, 0}.ToString());
  }
}

std::unique_ptr<Client> World::MakeClient(const std::string& name, std::uint64_t jobs) {
  std::vector<Store> stores;
  for (const auto& database : databases_) stores.push_back({database->name(), /*is_broker=*/false});
  for (const auto& broker : brokers_) stores.push_back({broker->name(), /*is_broker=*/true});
  const Client::World world{queue_, random_, trace_, network_, judge_, coordinator_};
  return std::make_unique<Client>(world, name, std::move(stores), jobs);
}

std::vector<std::unique_ptr<Participant>> World::MakeParticipants(const ProcessPtr& process, Loop& loop,
                                                                  std::uint32_t shard) {
  const RemoteCalls calls(queue_, network_, coordinator_.machine(), process);
  std::vector<std::unique_ptr<Participant>> participants;
  for (const auto& database : databases_) {
    participants.push_back(
        std::make_unique<DatabaseParticipant>(*database, kOurs, calls, loop, judge_, last_connection_));
  }
  for (const auto& broker : brokers_) {
    participants.push_back(std::make_unique<BrokerParticipant>(
        *broker, kOurs, BrokerParticipant::Place{shard, options_.shards}, calls, loop, judge_));
  }
  return participants;
}

void World::StartCoordinator() {
  options_.shards = static_cast<std::uint32_t>(random_.Between(1, most_shards_));
  if (!is_healing_ && !wrong_disk_ && random_.OneIn(4)) GiveTheWrongFolder();
  if (!wrong_disk_) backup_ = disk_;
  process_ = std::make_shared<Process>(queue_, wall_clock_, random_, faults_);
  process_at_failpoints = process_.get();
  Disk& disk = wrong_disk_ ? *wrong_disk_ : disk_;
  auto log = std::make_unique<SimulatedLog>(disk, queue_, random_, faults_, judge_, process_);
  coordinator_.process =
      std::make_unique<CoordinatorProcess>(options_, queue_, random_, trace_, process_, std::move(log),
                                           [this](const ProcessPtr& process, Loop& loop, std::uint32_t shard) {
                                             return MakeParticipants(process, loop, shard);
                                           });
  if (coordinator_.process->unfinished() > 0) judge_.Reached("starts with unfinished decisions");
}

// An empty data folder, or the backup of the last start; tried again where it was refused. Only while something is
// prepared that gives it away, and with every participant in reach: else it may start, as docs/protocol.md says.
void World::GiveTheWrongFolder() {
  if (options_.adopt) return;
  wrong_disk_ =
      random_.OneIn(2) ? std::make_unique<Disk>(Disk{.coordinator = kNamesake}) : std::make_unique<Disk>(backup_);
  if (WhatGivesTheFolderAway().empty()) return wrong_disk_.reset();
  trace_.Note("the data folder is a wrong one: epoch ", wrong_disk_->epoch);
  faults_before_ = std::exchange(faults_, Faults{.slowest = faults_.slowest});
  network_.MendAll();
  for (const auto& database : databases_) database->Restart();
  for (const auto& broker : brokers_) broker->Restart();
}

// It serves from this moment on, and has not done anything yet.
void World::EndTheWrongStart() {
  const std::string gid = WhatGivesTheFolderAway();
  if (!gid.empty()) judge_.Broken("a wrong data folder is served, although this is prepared: ", gid);
  process_->Die();  // what gave it away has ended meanwhile
}

void World::TakeTheWrongFolderAway() {
  trace_.Note("the right data folder is back");
  wrong_disk_.reset();
  if (!is_healing_) faults_ = faults_before_;
}

std::string World::WhatGivesTheFolderAway() const {
  std::uint32_t last_take_over = 0;
  for (const auto& [participant, epoch] : wrong_disk_->taken_over) last_take_over = std::max(last_take_over, epoch);
  for (const auto& database : databases_) {
    for (const auto& [gid, prepared] : database->prepared()) {
      const auto branch = ParseGid(gid);
      if (!branch || branch->txn.coordinator != kOurs) continue;
      if (wrong_disk_->coordinator != kOurs || branch->txn.epoch > last_take_over) return gid;
    }
  }
  return "";
}

bool World::Holds(const std::string& participant, const std::string& gid) const {
  for (const auto& database : databases_) {
    if (database->name() == participant) return database->prepared().contains(gid);
  }
  for (const auto& broker : brokers_) {
    if (broker->name() == participant) return broker->Holds(gid);
  }
  return false;
}

// ---- Running --------------------------------------------------------------------------------------------------------

void World::Step() {
  const std::size_t decisions = judge_.decisions();
  try {
    queue_.RunNext();
  } catch (const CheckFailure& failure) {
    judge_.Broken(failure.message);
  }
  ++result_.events;
  if (!is_healing_ && !wrong_disk_ && harm_every_ != 0 && --events_until_harm_ == 0) DoHarm();
  if (judge_.decisions() > decisions && random_.OneIn(faults_.power_fails)) FailPower();
  if (wrong_disk_ && coordinator_.process != nullptr && coordinator_.process->is_serving()) EndTheWrongStart();
  if (process_ && !process_->is_alive()) BuryCoordinator();
}

// False where that has not come by the deadline, or an invariant is broken.
template <typename Until>
bool World::RunUntil(absl::Duration deadline, Until until) {
  while (!judge_.violation() && queue_.now() < deadline) {
    const absl::Duration next_look = queue_.now() + absl::Seconds(1);
    queue_.At(next_look, [] {});
    while (!judge_.violation() && queue_.now() < next_look) Step();
    if (!judge_.violation() && until()) return true;
  }
  return false;
}

void World::BuryCoordinator() {
  trace_.Note("coordinator is dead");
  judge_.Reached(coordinator_.process->has_refused() ? "starts that refuse"
                 : process_->died_at_a_step()        ? "deaths in the middle of a step"
                                                     : "deaths between events");
  const bool is_tried_again = coordinator_.process->has_refused() && random_.OneIn(2);
  process_at_failpoints = nullptr;
  process_.reset();
  coordinator_.process.reset();
  if (wrong_disk_ && !is_tried_again) TakeTheWrongFolderAway();
  queue_.After(random_.Between(absl::Milliseconds(10), absl::Seconds(2)), [this] { StartCoordinator(); });
}

void World::DoHarm() {
  events_until_harm_ = random_.Between(1, 2 * harm_every_);
  const auto any_machine = [this] {
    return static_cast<Network::Machine>(random_.Below(1 + databases_.size() + brokers_.size() + clients_.size()));
  };
  switch (random_.Below(8)) {
    case 0:
    case 1:
      if (process_) process_->Die();
      return;
    case 2:
      return CrashSomeStore(absl::Seconds(5));
    case 3:
      return FailPower();
    case 4: {
      wall_clock_.jumped = random_.Between(absl::Hours(-48), absl::Hours(48));
      return trace_.Note("the wall clock jumps to ", absl::FormatDuration(wall_clock_.jumped));
    }
    default: {
      const Network::Machine a = any_machine();
      const Network::Machine b = any_machine();
      if (a == b) return;
      network_.Cut(a, b);
      queue_.After(random_.Between(absl::Milliseconds(10), absl::Seconds(10)), [this, a, b] { network_.Mend(a, b); });
    }
  }
}

void World::FailPower() {
  if (process_) process_->Die();
  CrashSomeStore(absl::Seconds(15));
}

void World::CrashSomeStore(absl::Duration longest) {
  const std::size_t which = random_.Below(databases_.size() + brokers_.size());
  const auto crash = [this, longest](auto* server) {
    trace_.Note(server->name(), " crashes");
    server->Crash();
    queue_.After(random_.Between(absl::Milliseconds(10), longest), [this, server] {
      trace_.Note(server->name(), " is back");
      server->Restart();
    });
  };
  if (which < databases_.size()) return crash(databases_[which].get());
  crash(brokers_[which - databases_.size()].get());
}

RunResult World::Run() {
  const absl::Duration chaos = random_.Between(absl::Seconds(5), absl::Seconds(30));
  RunUntil(chaos, [] { return false; });
  Heal();
  // Messages and backends that were slow still come.
  RunUntil(queue_.now() + std::max(faults_.slowest, kLongestStall), [] { return false; });
  if (!RunUntil(queue_.now() + kTimeToHeal, [this] { return WhatIsUnrest().empty(); }) && !judge_.violation()) {
    judge_.Broken("it does not heal: ", WhatIsUnrest());
  }
  if (!judge_.violation()) judge_.CheckTheEnd(disk_.ended);
  if (!judge_.violation()) CheckForeignWork();
  if (!judge_.violation()) CheckThatItServes();
  result_.violation = judge_.violation();
  result_.trace_hash = trace_.hash();
  result_.trace = trace_.lines();
  result_.reached = judge_.reached();
  return std::move(result_);
}

// ---- Healing --------------------------------------------------------------------------------------------------------

void World::Heal() {
  trace_.Note("everything heals");
  is_healing_ = true;
  faults_ = Faults{.slowest = faults_.slowest};
  network_.MendAll();
  for (const auto& database : databases_) database->Restart();
  for (const auto& broker : brokers_) broker->Restart();
}

std::string World::WhatIsUnrest() const {
  if (coordinator_.process == nullptr || !coordinator_.process->is_serving()) return "no coordinator serves";
  for (const auto& client : clients_) {
    if (!client->is_done()) return "a client does not learn what became of its transaction";
  }
  for (const auto& database : databases_) {
    for (const auto& [gid, prepared] : database->prepared()) {
      if (std::find(foreign_gids_.begin(), foreign_gids_.end(), gid) == foreign_gids_.end()) {
        return absl::StrCat(gid, " is prepared at ", database->name());
      }
    }
  }
  for (const auto& broker : brokers_) {
    if (broker->HoldsAnythingOpen()) return absl::StrCat("a transaction is open at ", broker->name());
  }
  const std::size_t running = coordinator_.process->RunningTransactions();
  return running == 0 ? "" : absl::StrCat(running, " transactions have not ended");
}

void World::CheckForeignWork() {
  for (const std::string& gid : foreign_gids_) {
    if (!databases_[0]->prepared().contains(gid)) judge_.Broken("foreign work is gone: ", gid);
  }
}

// Not only at rest, but of use: the next transaction over all participants commits.
void World::CheckThatItServes() {
  clients_.push_back(MakeClient("last", /*jobs=*/1));
  Client& last = *clients_.back();
  last.OnlySubmits();
  last.Start(absl::ZeroDuration());
  const bool is_done = RunUntil(queue_.now() + kTimeToServe, [&] { return last.is_done(); });
  if (judge_.violation()) return;
  if (!is_done || last.last_outcome() != v1::COMMITTED) judge_.Broken("healed, but the next transaction fails");
}

}  // namespace

RunResult RunSeed(std::uint64_t seed, KeepTrace keep_trace) { return World(seed, keep_trace).Run(); }

}  // namespace assent::simulation
