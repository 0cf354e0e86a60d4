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

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
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
          [this](const std::string& participant, const absl::StatusOr<Shard::FirstLook>& look) {
            HearOf(participant, look);
          });
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
  void RefuseSubmit(v1::SubmitRequest name, absl::Status why, Reply<v1::SubmitResponse> reply) override {
    const std::uint32_t shard = ShardOfNew(name.request_id());
    ShardThread& thread = *shards_[shard];
    thread.scheduler->Post([s = thread.shard.get(), name = std::move(name), why = std::move(why),
                            answer = Answer<v1::SubmitResponse>(std::move(reply))]() mutable {
      s->RefuseSubmit(name, why, std::move(answer));
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
    PostByTxn(&Shard::DescribeTransaction, std::move(request), std::move(reply));
  }
  void ListTransactions(v1::ListTransactionsRequest request, Reply<v1::ListTransactionsResponse> reply) override;
  void ListParticipants(v1::ListParticipantsRequest request, Reply<v1::ListParticipantsResponse> reply) override;
  void ListAudit(v1::ListAuditRequest request, Reply<v1::ListAuditResponse> reply) override;
  void ResolveBranch(v1::ResolveBranchRequest request, Reply<v1::ResolveBranchResponse> reply) override {
    PostByTxn(&Shard::ResolveBranch, std::move(request), std::move(reply));
  }
  void Recover(v1::RecoverRequest request, Reply<v1::RecoverResponse> reply) override;

  absl::Status CheckIdentity(absl::Duration patience, std::function<bool()> is_given_up) override;

 private:
  // On the first shard's thread.
  void HearOf(const std::string& participant, const absl::StatusOr<Shard::FirstLook>& look) {
    const std::lock_guard lock(gate_mutex_);
    gate_->Hear(participant, look);
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

absl::StatusOr<std::size_t> PageSize(std::int32_t asked) {
  if (asked >= 0 && asked <= kLargestPage) return static_cast<std::size_t>(asked == 0 ? kDefaultPage : asked);
  return absl::InvalidArgumentError(absl::StrCat("page_size is ", asked, "; it must be between 0 and ", kLargestPage));
}

absl::Status NoPageToken(const std::string& token) {
  return absl::InvalidArgumentError(
      absl::StrCat("page_token \"", token.substr(0, 80), "\" is not one that an earlier answer gave"));
}

void ShardedEngine::ListTransactions(v1::ListTransactionsRequest request, Reply<v1::ListTransactionsResponse> reply) {
  const absl::StatusOr<std::size_t> page_size = PageSize(request.page_size());
  if (!page_size.ok()) return reply(page_size.status());
  std::uint64_t after = 0;
  if (!request.page_token().empty() && !absl::SimpleAtoi(request.page_token(), &after)) {
    return reply(NoPageToken(request.page_token()));
  }
  const std::size_t limit = *page_size;
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

// What all shards, and the participants themselves, say about the participants; given when the last has spoken.
struct ParticipantsGathering {
  std::mutex mutex;
  std::size_t outstanding = 0;
  v1::ListParticipantsResponse response;
};

bool IsBefore(const google::protobuf::Timestamp& a, const google::protobuf::Timestamp& b) {
  return std::pair(a.seconds(), a.nanos()) < std::pair(b.seconds(), b.nanos());
}

// Adds another shard's view of a participant: `whole` begins as that of the first one that has spoken.
void AddView(const v1::ParticipantDescription& view, bool is_first_shard, v1::ParticipantDescription& whole) {
  if (is_first_shard) {
    whole.set_available(view.available());
    whole.set_health(view.health());
  }
  whole.set_takes_branches(whole.takes_branches() && view.takes_branches());
  whole.set_open(whole.open() + view.open());
  whole.set_in_doubt(whole.in_doubt() + view.in_doubt());
  const bool is_older = view.has_oldest_in_doubt() &&
                        (!whole.has_oldest_in_doubt() || IsBefore(view.oldest_in_doubt(), whole.oldest_in_doubt()));
  if (is_older) *whole.mutable_oldest_in_doubt() = view.oldest_in_doubt();
  for (const std::string& id : view.left_alone()) {
    const auto& known = whole.left_alone();
    if (std::find(known.begin(), known.end(), id) == known.end()) whole.add_left_alone(id);
  }
}

void AddInspection(const Inspection& inspection, v1::ParticipantDescription& description) {
  if (inspection.prepared_limit >= 0) description.set_prepared_limit(inspection.prepared_limit);
  if (inspection.prepared >= 0) description.set_prepared(inspection.prepared);
  for (const v1::Finding& finding : inspection.findings) {
    v1::Finding& added = *description.add_findings();
    added = finding;
    added.set_subject(absl::StrCat("participant ", description.name()));
  }
}

// Each shard tells of its own branches: in the end stands what the worst of them hides.
void AddHidden(const Hidden& hidden, v1::ParticipantDescription& whole) {
  if (hidden.is_partial) whole.set_hidden_is_partial(true);
  const bool is_more = hidden.records >= 0 && (!whole.has_hidden() || hidden.records > whole.hidden());
  if (!is_more) return;
  whole.set_hidden(hidden.records);
  whole.set_hidden_in(hidden.place);
}

void ShardedEngine::ListParticipants(v1::ListParticipantsRequest, Reply<v1::ListParticipantsResponse> reply) {
  const std::size_t participants = shards_.front()->shard->participant_count();
  auto gathering = std::make_shared<ParticipantsGathering>();
  gathering->outstanding = shards_.size() * (1 + participants) + participants;
  for (std::size_t i = 0; i < participants; ++i) gathering->response.add_participants()->set_takes_branches(true);
  auto answer = std::make_shared<Answer<v1::ListParticipantsResponse>>(std::move(reply));
  // Called with the mutex held.
  const auto spoke = [gathering, answer] {
    if (--gathering->outstanding == 0) (*answer)(std::move(gathering->response));
  };
  for (const auto& thread : shards_) {
    const bool is_first = thread == shards_.front();
    thread->scheduler->Post([shard = thread->shard.get(), is_first, gathering, spoke] {
      const std::vector<v1::ParticipantDescription> views = shard->DescribeParticipants();
      const std::lock_guard lock(gathering->mutex);
      for (std::size_t i = 0; i < views.size(); ++i) {
        v1::ParticipantDescription& whole = *gathering->response.mutable_participants(static_cast<int>(i));
        whole.set_name(views[i].name());
        whole.set_kind(views[i].kind());
        AddView(views[i], is_first, whole);
      }
      spoke();
    });
    thread->scheduler->Post([shard = thread->shard.get(), gathering, spoke] {
      shard->MeasureHidden([gathering, spoke](std::size_t index, const Hidden& hidden) {
        const std::lock_guard lock(gathering->mutex);
        AddHidden(hidden, *gathering->response.mutable_participants(static_cast<int>(index)));
        spoke();
      });
    });
  }
  ShardThread& first = *shards_.front();
  first.scheduler->Post([shard = first.shard.get(), gathering, spoke] {
    shard->InspectParticipants([gathering, spoke](std::size_t index, absl::StatusOr<Inspection> inspection) {
      const std::lock_guard lock(gathering->mutex);
      // One that cannot be asked says so by its health.
      if (inspection.ok())
        AddInspection(*inspection, *gathering->response.mutable_participants(static_cast<int>(index)));
      spoke();
    });
  });
}

// A page's last key is bytes; its token is their hexadecimal digits.
void ShardedEngine::ListAudit(v1::ListAuditRequest request, Reply<v1::ListAuditResponse> reply) {
  const absl::StatusOr<std::size_t> page_size = PageSize(request.page_size());
  if (!page_size.ok()) return reply(page_size.status());
  const std::string& token = request.page_token();
  const bool is_hex = token.size() % 2 == 0 && std::all_of(token.begin(), token.end(), absl::ascii_isxdigit);
  if (!is_hex) return reply(NoPageToken(token));
  ShardThread& first = *shards_.front();
  log_.ListAudit(absl::HexStringToBytes(token), *page_size,
                 [&first, answer = Answer<v1::ListAuditResponse>(std::move(reply))](auto page) mutable {
                   first.scheduler->Post([&first, page = std::move(page), answer = std::move(answer)]() mutable {
                     if (!page.ok()) return answer(page.status());
                     v1::ListAuditResponse response;
                     for (v1::AuditEntry& entry : first.shard->DescribeAudit(page->records)) {
                       *response.add_entries() = std::move(entry);
                     }
                     response.set_next_page_token(absl::BytesToHexString(page->last_key));
                     answer(std::move(response));
                   });
                 });
}

void ShardedEngine::Recover(v1::RecoverRequest, Reply<v1::RecoverResponse> reply) {
  struct Recovering {
    std::mutex mutex;
    std::size_t outstanding = 0;
    v1::RecoverResponse response;
  };
  auto recovering = std::make_shared<Recovering>();
  recovering->outstanding = shards_.size();
  auto answer = std::make_shared<Answer<v1::RecoverResponse>>(std::move(reply));
  for (const auto& thread : shards_) {
    thread->scheduler->Post([shard = thread->shard.get(), recovering, answer] {
      const v1::RecoverResponse here = shard->Recover();
      const std::lock_guard lock(recovering->mutex);
      v1::RecoverResponse& all = recovering->response;
      all.set_retried(all.retried() + here.retried());
      all.set_swept(std::max(all.swept(), here.swept()));  // every shard asks the same ones
      if (--recovering->outstanding == 0) (*answer)(std::move(all));
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
