// Assent's participant, on one event loop, called as the coordinator calls it for a transaction that nothing goes wrong
// with; the decision log stands between Prepare and Commit there, and is left out here.
#include <spdlog/spdlog.h>

#include <boost/asio/io_context.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bench/kafka_branch/cell.h"
#include "participants/kafka/kafka_participant.h"

namespace assent::kafka_branch {
namespace {

class Load {
 public:
  explicit Load(const Cell& cell) : cell_(cell), value_(static_cast<std::size_t>(cell.value_bytes), 'v') {
    kafka::KafkaOptions options;
    options.name = "events";
    options.bootstrap_servers = {cell.server};
    // As it works once it has been connected for that long: before, it looks at every marker (ADR 11).
    options.trouble_lasts = absl::ZeroDuration();
    auto made = kafka::MakeKafkaParticipant(
        options, {.loop = loop_, .clock = SystemClock(), .coordinator = coordinator_, .epoch = 1});
    if (!made.ok()) GiveUp(std::string(made.status().message()));
    participant_ = *std::move(made);
  }

  void Run() {
    participant_->Start({}, [this] {
      if (window_) GiveUp("the connection to the broker was lost");
      window_.emplace(cell_);
      running_ = cell_.in_flight;
      for (int i = 0; i < cell_.in_flight; ++i) Begin();
    });
    participant_->TakeOver();
    loop_.run();
    window_->Report(samples_);
  }

 private:
  void Begin() {
    const Clock::time_point began = Clock::now();
    const std::int64_t number = next_++;
    const BranchId branch{
        .txn = {.coordinator = coordinator_, .epoch = 1, .sequence = static_cast<std::uint64_t>(number + 1)},
        .name = "events"};
    if (!participant_->Open(branch, {}, absl::Now() + absl::Seconds(15)).ok()) GiveUp("a branch was not opened");
    participant_->Execute(branch, OperationOf(number), [](const ExecuteOutcome& outcome) {
      if (!outcome.ok) GiveUp(outcome.error.message);
    });
    participant_->Prepare(branch, [this, branch, began](Vote vote) {
      if (vote.kind != Vote::Kind::kYes) GiveUp(vote.error.message);
      participant_->Commit(branch, vote.token, [this, branch, began, token = vote.token](const Finish& finish) {
        if (finish.kind != Finish::Kind::kDone) GiveUp(finish.message);
        Committed(began);
        participant_->Forget(branch, token);
        if (window_->Continues(samples_.back().committed)) return Begin();
        if (--running_ == 0) loop_.stop();
      });
    });
  }

  v1::Operation OperationOf(std::int64_t number) const {
    v1::Operation operation;
    for (int i = 0; i < cell_.records; ++i) {
      const CellRecord place = RecordOf(cell_, number, i);
      v1::KafkaRecord& record = *operation.mutable_kafka()->add_records();
      record.set_topic(cell_.topic);
      record.set_key(place.key);
      record.set_value(value_);
      record.set_partition(place.partition);
    }
    return operation;
  }

  void Committed(Clock::time_point began) {
    const Clock::time_point now = Clock::now();
    samples_.push_back({.committed = now, .latency = now - began});
  }

  const Cell cell_;
  const std::string value_;
  const CoordinatorId coordinator_{.name = "bench", .incarnation = std::hash<std::string>()(RandomName())};
  boost::asio::io_context loop_{1};
  std::unique_ptr<Participant> participant_;
  std::optional<Window> window_;
  std::vector<Sample> samples_;
  std::int64_t next_ = 0;
  int running_ = 0;
};

}  // namespace
}  // namespace assent::kafka_branch

int main(int argc, char** argv) {
  spdlog::set_level(spdlog::level::warn);  // standard output is for the report
  assent::kafka_branch::Load(assent::kafka_branch::ParseCell(argc, argv)).Run();
  return 0;
}
