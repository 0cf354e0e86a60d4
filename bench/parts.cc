// The parts of the coordinator alone: the decision log on a real disk, the protocol, the codecs. Run by
// bench/run.sh parts; the folder of the log is $ASSENT_BENCH_DIR, by default the machine's temporary one.
#include <benchmark/benchmark.h>
#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <semaphore>
#include <string>

#include "base/check.h"
#include "coordinator/log/log_format.h"
#include "coordinator/log/rocksdb_decision_log.h"
#include "coordinator/protocol/transition.h"
#include "participants/kafka/wire/record_batch.h"

namespace assent {
namespace {

std::filesystem::path BenchFolder() {
  const char* folder = std::getenv("ASSENT_BENCH_DIR");
  return folder != nullptr ? std::filesystem::path(folder) : std::filesystem::temp_directory_path();
}

// A new folder, removed at the end.
class ScratchFolder {
 public:
  ScratchFolder() {
    path_ = (BenchFolder() / "assent-parts-XXXXXX").string();
    ASSENT_CHECK(::mkdtemp(path_.data()) != nullptr, "ASSENT_BENCH_DIR is no folder that can be written to");
  }
  ~ScratchFolder() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// A decision as an order makes it: one PostgreSQL branch, one Kafka branch, a request_id.
v1::DecisionRecord MakeDecision(const CoordinatorId& coordinator, std::uint64_t sequence) {
  const TxnId txn{.coordinator = coordinator, .epoch = 1, .shard = 0, .sequence = sequence};
  v1::DecisionRecord decision;
  decision.set_txn_id(txn.ToString());
  decision.set_outcome(v1::COMMITTED);
  decision.set_request_id("order-" + std::to_string(sequence));
  decision.set_request_hash(std::string(32, 'h'));
  decision.set_decided_at_us(1'790'000'000'000'000);
  for (const char* name : {"orders-db", "events"}) {
    v1::BranchRecord& branch = *decision.add_branches();
    branch.set_branch(name);
    branch.set_participant(name);
    branch.set_token(std::string(90, 't'));
  }
  return decision;
}

// ---- The decision log -----------------------------------------------------------------------------------------------

// Decisions, each ended as soon as it is durable, with a fixed number in flight. One item is one decision.
void LogAppend(benchmark::State& state) {
  const ScratchFolder folder;
  DecisionLogOptions options;
  options.data_dir = folder.path();
  options.coordinator = "orders";
  auto log = OpenDecisionLog(options);
  ASSENT_CHECK(log.ok(), log.ok() ? "" : std::string(log.status().message()).c_str());
  v1::DecisionRecord decision = MakeDecision((*log)->start().coordinator, 1);

  const auto in_flight = static_cast<std::ptrdiff_t>(state.range(0));
  std::counting_semaphore<> slots(in_flight);
  for ([[maybe_unused]] auto _ : state) {
    slots.acquire();
    const TxnId txn{.coordinator = (*log)->start().coordinator,
                    .epoch = (*log)->start().epoch,
                    .shard = 0,
                    .sequence = (*log)->NextSequence()};
    decision.set_txn_id(txn.ToString());
    decision.set_request_id("order-" + std::to_string(txn.sequence));
    (*log)->Decide(decision, [&log, &slots, txn] {
      (*log)->End(txn, nullptr);
      slots.release();
    });
  }
  (*log)->Drain();
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(LogAppend)->ArgName("in_flight")->Arg(1)->Arg(16)->Arg(256)->UseRealTime();

// What the disk and RocksDB allow: a loop of synced writes, nothing else. One item is one record of a decision's size.
void BareSyncedWrites(benchmark::State& state) {
  const ScratchFolder folder;
  rocksdb::Options options;
  options.create_if_missing = true;
  rocksdb::DB* opened = nullptr;
  ASSENT_CHECK(rocksdb::DB::Open(options, folder.path(), &opened).ok(), "RocksDB did not open");
  const std::unique_ptr<rocksdb::DB> database(opened);
  const std::string record = MakeDecision({.name = "orders", .incarnation = 1}, 1).SerializeAsString();
  rocksdb::WriteOptions synced;
  synced.sync = true;

  std::uint64_t sequence = 0;
  for ([[maybe_unused]] auto _ : state) {
    rocksdb::WriteBatch batch;
    for (std::int64_t i = 0; i < state.range(0); ++i) batch.Put(log_format::EncodeUint64(++sequence), record);
    ASSENT_CHECK(database->Write(synced, &batch).ok(), "a synced write failed");
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(sequence));
}
BENCHMARK(BareSyncedWrites)->ArgName("a_write")->Arg(1)->Arg(16)->Arg(256)->UseRealTime();

// What a Begin with a new request_id pays.
void LogRequestMayExist(benchmark::State& state) {
  const ScratchFolder folder;
  DecisionLogOptions options;
  options.data_dir = folder.path();
  options.coordinator = "orders";
  auto log = OpenDecisionLog(options);
  ASSENT_CHECK(log.ok(), "the log did not open");
  for (int i = 0; i < 100'000; ++i) {
    (*log)->Decide(MakeDecision((*log)->start().coordinator, (*log)->NextSequence()), nullptr);
  }
  (*log)->Drain();
  std::uint64_t number = 1'000'000;
  for ([[maybe_unused]] auto _ : state) {
    benchmark::DoNotOptimize((*log)->RequestMayExist("order-" + std::to_string(++number)));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(LogRequestMayExist);

// ---- The protocol ---------------------------------------------------------------------------------------------------

// A whole transaction of one database and one broker through Transition(). One item is one event.
void ProtocolStep(benchmark::State& state) {
  using namespace protocol;  // NOLINT: the events by their names
  const std::array<Event, 16> events = {
      Enlisted{.kind = BranchKind::kDatabase, .after_databases = false},
      Enlisted{.kind = BranchKind::kBroker, .after_databases = true}, WorkStarted{0}, WorkStarted{1},
      WorkReturned{.branch = 1, .ok = true}, WorkReturned{.branch = 0, .ok = true}, CommitAsked{},
      Voted{.branch = 0, .vote = VoteKind::kYes}, Voted{.branch = 1, .vote = VoteKind::kYes}, DecisionDurable{},
      BranchEnded{.branch = 0, .ending = Ending::kAsTold}, BranchEnded{.branch = 1, .ending = Ending::kAsTold},
      EndDurable{},
      // What comes too late changes nothing.
      DeadlinePassed{}, AbortAsked{}, Voted{.branch = 0, .vote = VoteKind::kUnknown}};
  for ([[maybe_unused]] auto _ : state) {
    State transaction;
    for (const Event& event : events) {
      Step step = Transition(transaction, event);
      benchmark::DoNotOptimize(step.actions.size());
      transaction = std::move(step.next);
    }
    ASSENT_CHECK(transaction.phase == Phase::kEnded, "the benchmark's transaction did not end");
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(events.size()));
}
BENCHMARK(ProtocolStep);

// ---- Codecs ---------------------------------------------------------------------------------------------------------

void DecisionRecordEncode(benchmark::State& state) {
  const v1::DecisionRecord decision = MakeDecision({.name = "orders", .incarnation = 1}, 1042);
  std::size_t bytes = 0;
  for ([[maybe_unused]] auto _ : state) {
    const std::string active = decision.SerializeAsString();
    const std::string outcome = log_format::EncodeOutcome(1, decision);
    bytes += active.size() + outcome.size();
    benchmark::DoNotOptimize(bytes);
  }
  state.SetItemsProcessed(state.iterations());
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes));
}
BENCHMARK(DecisionRecordEncode);

void DecisionRecordDecode(benchmark::State& state) {
  const std::string record = MakeDecision({.name = "orders", .incarnation = 1}, 1042).SerializeAsString();
  for ([[maybe_unused]] auto _ : state) {
    v1::DecisionRecord decision;
    ASSENT_CHECK(decision.ParseFromString(record), "the benchmark's decision does not parse");
    benchmark::DoNotOptimize(decision.branches_size());
  }
  state.SetItemsProcessed(state.iterations());
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(record.size()));
}
BENCHMARK(DecisionRecordDecode);

// A batch of records of 256 bytes with a key and a header, as an order's events. One item is one record.
void KafkaRecordBatchEncode(benchmark::State& state) {
  const std::string value(256, 'v');
  const kafka::wire::Record record{.key = "order-1042",
                                   .value = value,
                                   .headers = {{.key = "type", .value = "order.placed"}},
                                   .timestamp_ms = 1'790'000'000'000};
  std::size_t bytes = 0;
  for ([[maybe_unused]] auto _ : state) {
    kafka::wire::RecordBatchBuilder batch;
    for (std::int64_t i = 0; i < state.range(0); ++i) batch.Add(record);
    bytes += batch.Finish(1000, 3, 0).size();
    benchmark::DoNotOptimize(bytes);
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes));
}
BENCHMARK(KafkaRecordBatchEncode)->ArgName("records")->Arg(1)->Arg(100);

}  // namespace
}  // namespace assent

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::AddCustomContext("log_folder", assent::BenchFolder().string());
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
