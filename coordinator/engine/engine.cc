#include "coordinator/engine/engine.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/failpoint.h"
#include "coordinator/engine/answer.h"
#include "coordinator/engine/asio_scheduler.h"
#include "coordinator/engine/shard.h"
#include "coordinator/engine/take_over_gate.h"

namespace assent {
namespace {

constexpr int kDefaultPage = 100;
constexpr int kLargestPage = 1'000;

// One shard with its thread and loop.
struct ShardThread {
  boost::asio::io_context loop{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> keep_running{loop.get_executor()};
  std::unique_ptr<AsioScheduler> scheduler;
  std::unique_ptr<Shard> shard;
  std::thread thread;
};

class ShardedEngine final : public Engine {
 public:
  ShardedEngine(const EngineOptions& options, DecisionLog& log, const Clock& clock)
      : options_(options), log_(log), clock_(clock), routing_(log.start(), options.shards) {}

  ~ShardedEngine() override {
    for (const auto& shard : shards_) shard->loop.stop();
    for (const auto& shard : shards_) {
      if (shard->thread.joinable()) shard->thread.join();
    }
    log_.Drain();  // its completions post to the loops that end here
    // Whoever still waits gets "unknown" from the Answer that is destroyed here.
  }

  absl::Status Make(const std::vector<ParticipantFactory>& participants) {
    std::vector<std::string> names;
    for (std::uint32_t i = 0; i < options_.shards; ++i) {
      auto& shard = *shards_.emplace_back(std::make_unique<ShardThread>());
      shard.scheduler = std::make_unique<AsioScheduler>(shard.loop);
      const ParticipantContext context{.loop = shard.loop,
                                       .clock = clock_,
                                       .coordinator = log_.start().coordinator,
                                       .epoch = log_.start().epoch,
                                       .shard = i,
                                       .shard_count = options_.shards};
      std::vector<std::unique_ptr<Participant>> made;
      for (const ParticipantFactory& factory : participants) {
        auto participant = factory(context);
        if (!participant.ok()) return participant.status();
        if (i == 0) names.emplace_back((*participant)->name());
        made.push_back(*std::move(participant));
      }
      shard.shard = std::make_unique<Shard>(
          options_, Shard::Place{i, options_.shards}, routing_, log_, clock_, *shard.scheduler, std::move(made),
          [this](const std::string& participant, const Shard::ForeignNames& foreign) { HearOf(participant, foreign); });
    }
    gate_.emplace(log_, names, [this](const std::function<void(Shard&)>& task) { TellShards(task); });
    for (const auto& shard : shards_) {
      shard->scheduler->Post([s = shard->shard.get()] { s->Start(); });
      shard->thread = std::thread([loop = &shard->loop] { loop->run(); });
    }
    return absl::OkStatus();
  }

  void Begin(v1::BeginRequest request, Reply<v1::BeginResponse> reply) override {
    const std::uint32_t shard = ShardOfNew(request.request_id());
    Post(shard, &Shard::Begin, std::move(request), std::move(reply));
  }
  void Submit(v1::SubmitRequest request, Reply<v1::SubmitResponse> reply) override {
    const std::uint32_t shard = ShardOfNew(request.request_id());
    Post(shard, &Shard::Submit, std::move(request), std::move(reply));
  }
  void RefuseSubmit(std::string request_id, absl::Status why, Reply<v1::SubmitResponse> reply) override {
    const std::uint32_t shard = ShardOfNew(request_id);
    ShardThread& thread = *shards_[shard];
    thread.scheduler->Post([s = thread.shard.get(), request_id = std::move(request_id), why = std::move(why),
                            answer = Answer<v1::SubmitResponse>(std::move(reply))]() mutable {
      s->RefuseSubmit(request_id, why, std::move(answer));
    });
  }
  void Enlist(v1::EnlistRequest request, Reply<v1::EnlistResponse> reply) override {
    PostByTxn(&Shard::Enlist, std::move(request), std::move(reply));
  }
  void Execute(v1::ExecuteRequest request, Reply<v1::ExecuteResponse> reply) override {
    PostByTxn(&Shard::Execute, std::move(request), std::move(reply));
  }
  void Commit(v1::CommitRequest request, Reply<v1::CommitResponse> reply) override {
    PostByTxn(&Shard::Commit, std::move(request), std::move(reply));
  }
  void Abort(v1::AbortRequest request, Reply<v1::AbortResponse> reply) override {
    PostByEither(&Shard::Abort, std::move(request), std::move(reply));
  }
  void GetTransaction(v1::GetTransactionRequest request, Reply<v1::TransactionDescription> reply) override {
    PostByEither(&Shard::GetTransaction, std::move(request), std::move(reply));
  }
  void DescribeTransaction(v1::DescribeTransactionRequest request, Reply<v1::TransactionDescription> reply) override {
    v1::GetTransactionRequest by_id;
    by_id.set_txn_id(std::move(*request.mutable_txn_id()));
    GetTransaction(std::move(by_id), std::move(reply));
  }
  void ListTransactions(v1::ListTransactionsRequest request, Reply<v1::ListTransactionsResponse> reply) override;

  absl::Status CheckIdentity(absl::Duration patience, std::function<bool()> is_given_up) override;

 private:
  // On the first shard's thread.
  void HearOf(const std::string& participant, const Shard::ForeignNames& foreign) {
    const std::lock_guard lock(gate_mutex_);
    gate_->Hear(participant, foreign);
    gate_heard_.notify_all();
  }

  void TellShards(const std::function<void(Shard&)>& task) {
    for (const auto& thread : shards_) {
      thread->scheduler->Post([shard = thread->shard.get(), task] { task(*shard); });
    }
  }

  std::uint32_t ShardOfNew(const std::string& request_id) {
    if (!request_id.empty()) return routing_.ShardOfRequest(request_id);
    return next_shard_.fetch_add(1, std::memory_order_relaxed) % options_.shards;
  }

  template <typename Request, typename Response>
  void Post(std::uint32_t shard, void (Shard::*call)(Request, Answer<Response>), Request request,
            Reply<Response> reply) {
    ShardThread& thread = *shards_[shard];
    thread.scheduler->Post(
        [s = thread.shard.get(), call, request = std::move(request),
         answer = Answer<Response>(std::move(reply))]() mutable { (s->*call)(std::move(request), std::move(answer)); });
  }

  template <typename Request, typename Response>
  void PostByTxn(void (Shard::*call)(Request, Answer<Response>), Request request, Reply<Response> reply) {
    const auto id = ParseTxnId(request.txn_id());
    if (!id) return reply(NoTxnId(request.txn_id()));
    Post(routing_.ShardOf(*id), call, std::move(request), std::move(reply));
  }

  template <typename Request, typename Response>
  void PostByEither(void (Shard::*call)(Request, Answer<Response>), Request request, Reply<Response> reply) {
    if (request.id_case() == Request::kTxnId) return PostByTxn(call, std::move(request), std::move(reply));
    if (request.request_id().empty()) {
      return reply(
          absl::InvalidArgumentError("neither txn_id nor request_id is given; one of them names a transaction"));
    }
    const std::uint32_t shard = routing_.ShardOfRequest(request.request_id());
    Post(shard, call, std::move(request), std::move(reply));
  }

  static absl::Status NoTxnId(const std::string& text) {
    v1::TransactionFailure failure;
    failure.set_txn_id(text.substr(0, 200));
    failure.set_outcome(v1::NEVER_EXISTED);
    failure.set_reason(
        absl::StrCat("\"", text.substr(0, 200),
                     "\" is no transaction id; Begin gives one, such as orders-5f0cab12d3e4f567-3-0-1042"));
    return WithFailure(absl::StatusCode::kNotFound, failure);
  }

  const EngineOptions options_;
  DecisionLog& log_;
  const Clock& clock_;
  const Routing routing_;
  std::vector<std::unique_ptr<ShardThread>> shards_;
  std::atomic<std::uint32_t> next_shard_{0};

  std::mutex gate_mutex_;
  std::condition_variable gate_heard_;
  std::optional<TakeOverGate> gate_;
};

// ---- Listing --------------------------------------------------------------------------------------------------------

// The pages of all shards, merged when the last of them has come.
struct Gathering {
  std::mutex mutex;
  std::size_t outstanding = 0;
  std::vector<v1::TransactionDescription> found;
};

std::uint64_t SequenceOf(const v1::TransactionDescription& description) {
  const auto id = ParseTxnId(description.txn_id());
  return id ? id->sequence : 0;
}

void ShardedEngine::ListTransactions(v1::ListTransactionsRequest request, Reply<v1::ListTransactionsResponse> reply) {
  if (request.page_size() < 0 || request.page_size() > kLargestPage) {
    return reply(absl::InvalidArgumentError(
        absl::StrCat("page_size is ", request.page_size(), "; it must be between 0 and ", kLargestPage)));
  }
  std::uint64_t after = 0;
  if (!request.page_token().empty() && !absl::SimpleAtoi(request.page_token(), &after)) {
    return reply(absl::InvalidArgumentError(
        absl::StrCat("page_token \"", request.page_token(), "\" is not one that an earlier answer gave")));
  }
  const std::size_t limit = request.page_size() == 0 ? kDefaultPage : request.page_size();
  auto gathering = std::make_shared<Gathering>();
  gathering->outstanding = shards_.size();
  auto answer = std::make_shared<Answer<v1::ListTransactionsResponse>>(std::move(reply));
  for (const auto& thread : shards_) {
    thread->scheduler->Post([shard = thread->shard.get(), request, after, limit, gathering, answer] {
      std::vector<v1::TransactionDescription> listed = shard->List(request, after, limit + 1);
      const std::lock_guard lock(gathering->mutex);
      for (auto& description : listed) gathering->found.push_back(std::move(description));
      if (--gathering->outstanding > 0) return;
      std::sort(gathering->found.begin(), gathering->found.end(),
                [](const auto& a, const auto& b) { return SequenceOf(a) < SequenceOf(b); });
      v1::ListTransactionsResponse response;
      for (auto& description : gathering->found) {
        if (static_cast<std::size_t>(response.transactions_size()) == limit) {
          response.set_next_page_token(absl::StrCat(SequenceOf(response.transactions().rbegin()[0])));
          break;
        }
        *response.add_transactions() = std::move(description);
      }
      (*answer)(std::move(response));
    });
  }
}

// ---- Identity -------------------------------------------------------------------------------------------------------

absl::Status ShardedEngine::CheckIdentity(absl::Duration patience, std::function<bool()> is_given_up) {
  constexpr auto kLook = std::chrono::milliseconds(100);  // whether it is given up
  const absl::Duration deadline = clock_.Monotonic() + patience;
  {
    std::unique_lock lock(gate_mutex_);
    while (!gate_heard_.wait_for(lock, kLook, [&] { return gate_->HasHeardAll(); })) {
      if (clock_.Monotonic() >= deadline) break;
      if (is_given_up()) return absl::CancelledError("told to stop before every participant has said what it holds");
    }
    HitFailpoint(Failpoint::kTakeOverBegins);
    if (absl::Status opened = gate_->Open(); !opened.ok()) return opened;
  }
  log_.Drain();  // who calls from now on finds taken over what can be
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Engine>> Engine::Start(const EngineOptions& options, DecisionLog& log,
                                                      const Clock& clock,
                                                      std::vector<ParticipantFactory> participants) {
  auto engine = std::make_unique<ShardedEngine>(options, log, clock);
  if (const absl::Status made = engine->Make(participants); !made.ok()) return made;
  return engine;
}

}  // namespace assent
