#include "participants/kafka/kafka_participant.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "participants/kafka/branch.h"
#include "participants/kafka/cluster.h"
#include "participants/kafka/error_codes.h"
#include "participants/kafka/hidden_records.h"
#include "participants/kafka/inspection.h"
#include "participants/kafka/lost_markers.h"
#include "participants/kafka/phase_two.h"
#include "participants/kafka/token.h"
#include "participants/kafka/transactional_ids.h"

namespace assent::kafka {
namespace {

using BranchPtr = std::shared_ptr<Branch>;

BranchError ErrorOf(absl::StatusCode code, std::string message) {
  return {.code = code, .message = std::move(message), .retryable = code == absl::StatusCode::kUnavailable};
}

BranchError ErrorOf(const absl::Status& status) {
  BranchError error = ErrorOf(status.code(), std::string(status.message()));
  error.retryable = error.retryable || status.code() == absl::StatusCode::kResourceExhausted;
  return error;
}

// Of each producer a partition's leader remembers so many batches, to know repeats by.
constexpr std::size_t kBatchesThatLeadersKnow = 5;

std::string TextOf(const BranchId& branch) { return absl::StrCat("branch ", branch.ToGid()); }

// ---- The participant ------------------------------------------------------------------------------------------------

class KafkaParticipant final : public Participant {
 public:
  KafkaParticipant(const KafkaOptions& options, Security security, const ParticipantContext& context)
      : options_(options),
        partitioner_(*ParsePartitioner(options.partitioner)),
        context_(context),
        cluster_(options, std::move(security), context),
        markers_(cluster_),
        ids_(context, cluster_, markers_),
        phase_two_(context_.coordinator, cluster_, markers_, ids_, [this](Branch& branch) { MarkEnded(branch); }) {}

  std::string_view name() const override { return options_.name; }
  ParticipantKind kind() const override { return ParticipantKind::kBroker; }

  void Start(std::vector<std::string> unfinished_tokens, std::function<void()> on_available) override;
  void TakeOver() override { ids_.TakeOver(); }
  absl::Status Open(const BranchId& id, const v1::BranchOptions& options, absl::Time deadline) override;
  void Execute(const BranchId& id, v1::Operation operation, ExecuteDone done) override;
  void Prepare(const BranchId& id, PrepareDone done) override;
  void Commit(const BranchId& id, const std::string& token, FinishDone done) override;
  void Abort(const BranchId& id, const std::string& token, FinishDone done) override;
  void Forget(const BranchId& id, const std::string& token) override;
  void ListOwn(ListDone done) override;
  ParticipantHealth health() const override;
  void Inspect(InspectDone done) override { kafka::Inspect(cluster_, std::move(done)); }
  void MeasureHidden(HiddenDone done) override {
    kafka::MeasureHidden(cluster_, phase_two_.PartitionsInDoubt(branches_), std::move(done));
  }
  std::string DescribeToken(const std::string& token) const override { return TokenText(token); }

 private:
  BranchPtr Find(const BranchId& id) const {
    const auto found = branches_.find(id);
    return found == branches_.end() ? nullptr : found->second;
  }
  std::size_t ShareOf(std::size_t bound) const { return std::max<std::size_t>(1, bound / context_.shard_count); }
  absl::Duration Left(const Branch& branch) const { return branch.deadline - context_.clock.Now(); }

  void BrokerLost();

  void RunOperations(const BranchPtr& branch, bool topics_are_looked_up);
  std::optional<BranchError> Buffer(Branch& branch, const v1::KafkaOperation& operation);
  void CompleteOperation(const BranchPtr& branch, std::optional<BranchError> error);
  void FailOperations(const BranchPtr& branch, const BranchError& error);

  void StartPrepare(const BranchPtr& branch);
  void FinishBatches(const BranchPtr& branch, const std::shared_ptr<BatchFinisher>& finisher);
  void Produce(const BranchPtr& branch, const ProducerSession& session, std::vector<PartitionBatches> records);
  absl::Status CheckOutlasts(const Branch& branch, std::size_t bytes) const;
  void JudgeProduced(const BranchPtr& branch, Produced produced);
  void VoteNo(const BranchPtr& branch, BranchError error);
  void GiveVote(const BranchPtr& branch, Vote vote);
  void CountBytes(Branch& branch, std::size_t bytes);
  void MarkEnded(Branch& branch);

  void AbortUnprepared(const BranchPtr& branch);
  void ListOwnUntil(absl::Duration until, ListDone done);

  const KafkaOptions options_;
  const Partitioner partitioner_;
  const ParticipantContext context_;
  Cluster cluster_;
  LostMarkers markers_;
  TransactionalIds ids_;
  PhaseTwo phase_two_;
  absl::flat_hash_map<BranchId, BranchPtr> branches_;
  std::size_t open_branches_ = 0;
  std::size_t buffered_bytes_ = 0;
  std::uint64_t turn_ = 0;
};

void KafkaParticipant::Start(std::vector<std::string> unfinished_tokens, std::function<void()> on_available) {
  std::vector<std::uint32_t> pinned;
  for (const std::string& bytes : unfinished_tokens) {
    if (const auto parsed = ParseToken(bytes, context_.coordinator); parsed.ok()) pinned.push_back(parsed->number);
  }
  ids_.Start(pinned);
  cluster_.Start(
      [this, on_available = std::move(on_available)] {
        ids_.ClusterReturned();
        on_available();
      },
      [this] { BrokerLost(); });
}

void KafkaParticipant::BrokerLost() {
  ids_.BrokerLost();
  const auto branches = branches_;
  for (const auto& [id, branch] : branches) phase_two_.HoldBack(branch);
}

ParticipantHealth KafkaParticipant::health() const {
  const absl::Status status = cluster_.Check();
  if (!status.ok()) return {.available = false, .message = std::string(status.message())};
  std::string message = absl::StrCat("Kafka, ", cluster_.Describe(), ", ", ids_.Describe());
  if (phase_two_.repaired_branches() > 0) {
    absl::StrAppend(&message, ", ", phase_two_.repaired_branches(), " branches repaired");
  }
  if (markers_.written_again() > 0) absl::StrAppend(&message, ", ", markers_.written_again(), " markers written again");
  return {.available = true, .message = std::move(message)};
}

// ---- Work -----------------------------------------------------------------------------------------------------------

absl::Status KafkaParticipant::Open(const BranchId& id, const v1::BranchOptions& options, absl::Time deadline) {
  if (options.kind_case() == v1::BranchOptions::kSql) {
    return absl::InvalidArgumentError(
        absl::StrCat("participant \"", options_.name, "\" is a Kafka cluster: it takes no SQL options"));
  }
  if (!v1::RecordOrder_IsValid(options.kafka().order())) {
    return absl::InvalidArgumentError(absl::StrCat("participant \"", options_.name, "\": order ",
                                                   options.kafka().order(), " is none that this coordinator knows"));
  }
  if (branches_.contains(id)) return absl::OkStatus();
  if (open_branches_ >= ShareOf(options_.max_branches)) {
    return absl::ResourceExhaustedError(absl::StrCat(open_branches_, " branches are open at participant \"",
                                                     options_.name, "\" in shard ", context_.shard,
                                                     ", its share of max_branches = ", options_.max_branches));
  }
  branches_[id] = std::make_shared<Branch>(id, deadline, RecordBuffer(options_, partitioner_, turn_++));
  ++open_branches_;
  return absl::OkStatus();
}

void KafkaParticipant::Execute(const BranchId& id, v1::Operation operation, ExecuteDone done) {
  const auto fail = [&](absl::StatusCode code, std::string message) {
    done({.ok = false, .error = ErrorOf(code, std::move(message))});
  };
  const BranchPtr branch = Find(id);
  if (!branch || branch->phase != BranchPhase::kOpen) {
    return fail(absl::StatusCode::kFailedPrecondition,
                absl::StrCat(TextOf(id), " is not open at participant \"", options_.name, "\""));
  }
  if (operation.kind_case() != v1::Operation::kKafka) {
    BranchError error =
        ErrorOf(absl::StatusCode::kInvalidArgument,
                absl::StrCat("participant \"", options_.name, "\" is a Kafka cluster: it takes records, not SQL"));
    if (!branch->doomed) branch->doomed = error;
    return done({.ok = false, .error = std::move(error)});
  }
  if (branch->operations.size() >= options_.max_queued_operations) {
    BranchError error = ErrorOf(absl::StatusCode::kResourceExhausted,
                                absl::StrCat("max_queued_operations = ", options_.max_queued_operations,
                                             " operations of ", TextOf(id), " wait already"));
    if (!branch->doomed) branch->doomed = error;
    return done({.ok = false, .error = std::move(error)});
  }
  branch->operations.push_back({.operation = std::move(*operation.mutable_kafka()), .done = std::move(done)});
  if (branch->operations.size() == 1) RunOperations(branch, /*topics_are_looked_up=*/false);
}

// Runs operations in order, up to the first whose topics have to be looked up.
void KafkaParticipant::RunOperations(const BranchPtr& branch, bool topics_are_looked_up) {
  while (!branch->operations.empty()) {
    const v1::KafkaOperation& operation = branch->operations.front().operation;
    WantedTopics topics;
    std::optional<BranchError> error = branch->records.Check(operation, topics);
    std::erase_if(topics,
                  [this](const auto& topic) { return cluster_.FindTopic(topic.first, topic.second) != nullptr; });
    if (!error && !topics.empty() && !topics_are_looked_up) {
      return cluster_.LookUp(std::move(topics), Left(*branch), [this, branch](absl::Status status) {
        if (branch->operations.empty()) return;  // aborted meanwhile
        if (status.ok()) return RunOperations(branch, /*topics_are_looked_up=*/true);
        CompleteOperation(branch, ErrorOf(status));
        RunOperations(branch, /*topics_are_looked_up=*/false);
      });
    }
    if (!error) error = Buffer(*branch, operation);
    topics_are_looked_up = false;
    CompleteOperation(branch, std::move(error));
  }
}

std::optional<BranchError> KafkaParticipant::Buffer(Branch& branch, const v1::KafkaOperation& operation) {
  const std::size_t bound = ShareOf(options_.max_buffered_bytes);
  const std::size_t coming = operation.ByteSizeLong();
  if (buffered_bytes_ + coming > bound) {
    BranchError error =
        ErrorOf(absl::StatusCode::kResourceExhausted,
                absl::StrCat("the open branches of participant \"", options_.name, "\" hold ", buffered_bytes_,
                             " bytes of records in shard ", context_.shard, ", and ", coming,
                             " more would pass its share of max_buffered_bytes = ", options_.max_buffered_bytes));
    error.retryable = true;
    return error;
  }
  std::optional<BranchError> error = branch.records.Add(operation, cluster_, context_.clock.Now());
  CountBytes(branch, branch.records.bytes());
  return error;
}

void KafkaParticipant::CompleteOperation(const BranchPtr& branch, std::optional<BranchError> error) {
  Branch::Operation operation = std::move(branch->operations.front());
  branch->operations.pop_front();
  ExecuteOutcome outcome{.ok = !error};
  if (error) {
    if (!branch->doomed) branch->doomed = error;
    outcome.error = *std::move(error);
  } else {
    outcome.result.mutable_kafka()->set_records(operation.operation.records_size());
  }
  operation.done(std::move(outcome));
  // Its answer may have come last, or its caller may have aborted the branch.
  if (branch->operations.empty() && branch->phase == BranchPhase::kPreparing) StartPrepare(branch);
}

void KafkaParticipant::FailOperations(const BranchPtr& branch, const BranchError& error) {
  for (Branch::Operation& operation : std::exchange(branch->operations, {})) {
    operation.done({.ok = false, .error = error});
  }
}

// ---- Prepare --------------------------------------------------------------------------------------------------------

void KafkaParticipant::Prepare(const BranchId& id, PrepareDone done) {
  const BranchPtr branch = Find(id);
  if (!branch) {
    return done({.kind = Vote::Kind::kNo,
                 .error = ErrorOf(absl::StatusCode::kFailedPrecondition,
                                  absl::StrCat(TextOf(id), " is not open at participant \"", options_.name, "\""))});
  }
  if (branch->vote) return done(*branch->vote);
  branch->waiting_for_vote.push_back(std::move(done));
  if (branch->phase != BranchPhase::kOpen) return;
  branch->phase = BranchPhase::kPreparing;
  if (branch->operations.empty()) return StartPrepare(branch);
  cluster_.delayed_calls().After(Left(*branch), [this, weak = std::weak_ptr<Branch>(branch)] {
    const BranchPtr late = weak.lock();
    if (!late || late->operations.empty()) return;
    const BranchError error =
        ErrorOf(absl::StatusCode::kUnavailable, "the topics could not be looked up before the transaction's deadline");
    FailOperations(late, error);
    VoteNo(late, error);
  });
}

void KafkaParticipant::StartPrepare(const BranchPtr& branch) {
  if (branch->vote || branch->session) return;
  if (branch->doomed) return VoteNo(branch, *branch->doomed);
  if (branch->records.empty()) return GiveVote(branch, {.kind = Vote::Kind::kReadOnly});
  if (const absl::Status status = cluster_.Check(); cluster_.is_up() && !status.ok()) {
    return VoteNo(branch, ErrorOf(status));
  }
  ids_.Acquire(Left(*branch), [this, branch](absl::StatusOr<ProducerSession> session) {
    if (!session.ok()) {
      if (branch->phase == BranchPhase::kPreparing) VoteNo(branch, ErrorOf(session.status()));
      return;
    }
    if (branch->phase != BranchPhase::kPreparing) return ids_.Return(*session);
    if (const absl::Status status = cluster_.Check(); absl::IsFailedPrecondition(status)) {
      ids_.Return(*session);
      return VoteNo(branch, ErrorOf(status));
    }
    FinishBatches(branch, std::make_shared<BatchFinisher>(branch->records.Take(), *session,
                                                          *wire::ParseCompression(options_.compression)));
  });
}

void KafkaParticipant::FinishBatches(const BranchPtr& branch, const std::shared_ptr<BatchFinisher>& finisher) {
  if (branch->phase != BranchPhase::kPreparing) return ids_.Return(finisher->session());  // aborted meanwhile
  if (markers_.IsDoubtful(finisher->session().number)) {
    ids_.Return(finisher->session());
    return VoteNo(branch,
                  ErrorOf(absl::StatusCode::kUnavailable,
                          "a broker was lost before the first record was sent: the transaction may be repeated"));
  }
  if (finisher->FinishSome()) return Produce(branch, finisher->session(), finisher->Take());
  cluster_.delayed_calls().After(absl::ZeroDuration(), [this, branch, finisher] { FinishBatches(branch, finisher); });
}

void KafkaParticipant::Produce(const BranchPtr& branch, const ProducerSession& session,
                               std::vector<PartitionBatches> records) {
  const v1::KafkaToken token = TokenFor(ids_.IdOf(session.number), session, cluster_.transactions(), records);
  branch->session = session;
  branch->token = token;
  const std::size_t bytes = BytesOf(records);
  const bool may_be_repeated = std::all_of(records.begin(), records.end(), [](const PartitionBatches& partition) {
    return partition.batches.size() <= kBatchesThatLeadersKnow;
  });
  if (bytes <= options_.max_logged_bytes && may_be_repeated) {
    AddRecords(records, branch->token);
  } else if (const absl::Status outlasts = CheckOutlasts(*branch, bytes); !outlasts.ok()) {
    return JudgeProduced(branch, {.kind = Produced::Kind::kRefused, .error = ErrorOf(outlasts)});
  }
  branch->production =
      Production::Start(cluster_, token, std::move(records), Left(*branch),
                        [this, branch](Produced produced) { JudgeProduced(branch, std::move(produced)); });
}

// What does not stand in the log cannot be repaired: the broker must not give up before there is a decision.
absl::Status KafkaParticipant::CheckOutlasts(const Branch& branch, std::size_t bytes) const {
  const absl::Duration usable = ids_.transaction_timeout() * 0.9;
  if (Left(branch) <= usable) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "the branch's ", bytes, " bytes of records are more than max_logged_bytes = ", options_.max_logged_bytes,
      ", or more than ", kBatchesThatLeadersKnow, " batches for a partition, of participant \"", options_.name,
      "\", and its transaction may last ", absl::FormatDuration(Left(branch)), ", longer than Kafka keeps one open (",
      absl::FormatDuration(ids_.transaction_timeout()),
      "): give the transaction a shorter timeout, or raise max_logged_bytes and max_batch_bytes"));
}

void KafkaParticipant::JudgeProduced(const BranchPtr& branch, Produced produced) {
  switch (produced.kind) {
    case Produced::Kind::kAcknowledged:
      branch->phase = BranchPhase::kPrepared;
      markers_.Forget(branch->session->number);  // this one could begin: the last has all its markers
      return GiveVote(branch, {.kind = Vote::Kind::kYes, .token = branch->token.SerializeAsString()});
    case Produced::Kind::kUnknown:
      branch->phase = BranchPhase::kInDoubt;
      return GiveVote(branch, {.kind = Vote::Kind::kUnknown,
                               .token = branch->token.SerializeAsString(),
                               .error = std::move(produced.error)});
    case Produced::Kind::kRefused:
      if (branch->is_aborting && produced.broker_was_asked) {
        branch->phase = BranchPhase::kInDoubt;
        return VoteNo(branch, std::move(produced.error));
      }
      // Nobody will ask about this transaction: fencing the id aborts it, and what of it may still arrive.
      if (produced.broker_was_asked) {
        markers_.Remember(EndedAs(branch->token, branch->session->number, branch->token.epoch(), /*committed=*/false));
        ids_.ReturnUnclean(branch->session->number);
      } else {
        ids_.Return(*branch->session);
      }
      branch->session.reset();
      return VoteNo(branch, std::move(produced.error));
  }
}

void KafkaParticipant::VoteNo(const BranchPtr& branch, BranchError error) {
  GiveVote(branch, {.kind = Vote::Kind::kNo, .error = std::move(error)});
}

void KafkaParticipant::GiveVote(const BranchPtr& branch, Vote vote) {
  branch->records.Take();
  branch->token.clear_records();  // the vote has them, and the log will
  CountBytes(*branch, vote.token.size());
  const bool is_end = vote.kind == Vote::Kind::kReadOnly || vote.kind == Vote::Kind::kNo;
  const bool may_end = branch->phase == BranchPhase::kOpen || branch->phase == BranchPhase::kPreparing;
  if (is_end && may_end) MarkEnded(*branch);
  branch->vote = std::move(vote);
  for (PrepareDone& done : std::exchange(branch->waiting_for_vote, {})) done(*branch->vote);
}

void KafkaParticipant::CountBytes(Branch& branch, std::size_t bytes) {
  buffered_bytes_ += bytes - std::exchange(branch.buffered_bytes, bytes);
}

void KafkaParticipant::MarkEnded(Branch& branch) {
  if (std::exchange(branch.phase, BranchPhase::kEnded) == BranchPhase::kEnded) return;
  --open_branches_;
  if (branch.vote) branch.vote->token.clear();
  CountBytes(branch, 0);
}

// ---- Phase two ------------------------------------------------------------------------------------------------------

void KafkaParticipant::Commit(const BranchId& id, const std::string& token, FinishDone done) {
  const BranchPtr branch = Find(id);
  if (branch && branch->phase == BranchPhase::kEnded && branch->committed) return done({.kind = Finish::Kind::kDone});
  phase_two_.EndByToken(branch, token, /*commit=*/true, std::move(done));
}

void KafkaParticipant::Abort(const BranchId& id, const std::string& token, FinishDone done) {
  const BranchPtr branch = Find(id);
  if (!branch) {
    if (token.empty()) return done({.kind = Finish::Kind::kDone});
    return phase_two_.EndByToken(nullptr, token, /*commit=*/false, std::move(done));
  }
  switch (branch->phase) {
    case BranchPhase::kOpen:
    case BranchPhase::kPreparing:
      AbortUnprepared(branch);
      if (branch->phase == BranchPhase::kInDoubt) return phase_two_.AbortByFencing(branch, std::move(done));
      return done({.kind = Finish::Kind::kDone});
    case BranchPhase::kPrepared:
      return phase_two_.EndByToken(branch, branch->token.SerializeAsString(), /*commit=*/false, std::move(done));
    case BranchPhase::kInDoubt:
      return phase_two_.AbortByFencing(branch, std::move(done));
    case BranchPhase::kEnded:
      // A committed one cannot be aborted any more; the broker's answer says so to the caller.
      if (branch->committed)
        return phase_two_.EndByToken(branch, branch->token.SerializeAsString(), false, std::move(done));
      return done({.kind = Finish::Kind::kDone});
  }
}

void KafkaParticipant::AbortUnprepared(const BranchPtr& branch) {
  const BranchError error =
      ErrorOf(absl::StatusCode::kAborted, absl::StrCat(TextOf(branch->id), " was aborted meanwhile"));
  branch->is_aborting = true;
  if (const auto production = branch->production.lock()) production->Cancel(error);
  if (!branch->vote) VoteNo(branch, error);
  FailOperations(branch, error);
}

void KafkaParticipant::Forget(const BranchId& id, const std::string& token) {
  const BranchPtr branch = Find(id);
  if (!branch) {
    const auto parsed = ParseToken(token, context_.coordinator);
    if (!parsed.ok()) return;
    phase_two_.Forget(parsed->number);
    return ids_.Unpin(parsed->number);
  }
  if (branch->phase == BranchPhase::kOpen || branch->phase == BranchPhase::kPreparing) AbortUnprepared(branch);
  // What has not ended is not forgotten: fencing its id would abort what may be decided.
  if (branch->phase != BranchPhase::kEnded) return;
  branches_.erase(id);
  if (!branch->session) return;
  phase_two_.Forget(branch->session->number);
  if (branch->next) {
    ids_.Return(*branch->next);
  } else {
    ids_.ReturnUnclean(branch->session->number);
  }
}

// ---- Recovery -------------------------------------------------------------------------------------------------------

void KafkaParticipant::ListOwn(ListDone done) {
  ListOwnUntil(context_.clock.Monotonic() + options_.finish_timeout, std::move(done));
}

// Kafka holds its doubt by transactional id and not by branch: what is decided is in the log, and what is not was
// fenced. So there is nothing to list but what another decision log has left.
void KafkaParticipant::ListOwnUntil(absl::Duration until, ListDone done) {
  ids_.ListOwn([this, until, done = std::move(done)](absl::StatusOr<OwnWork> work) mutable {
    if (work.ok() || context_.clock.Monotonic() >= until) return done(std::move(work));
    cluster_.delayed_calls().After(options_.last_backoff, [this, until, done = std::move(done)]() mutable {
      ListOwnUntil(until, std::move(done));
    });
  });
}

}  // namespace

absl::StatusOr<std::unique_ptr<Participant>> MakeKafkaParticipant(const KafkaOptions& options,
                                                                  const ParticipantContext& context) {
  if (options.bootstrap_servers.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("participant \"", options.name, "\" needs at least one of bootstrap_servers, as host:port"));
  }
  if (options.max_transactional_ids < 1 || options.connections_per_broker < 1 || options.max_in_flight < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("participant \"", options.name,
                     "\": max_transactional_ids, connections_per_broker and max_in_flight must be at least 1"));
  }
  if (!ParsePartitioner(options.partitioner) || !wire::ParseCompression(options.compression)) {
    return absl::InvalidArgumentError(absl::StrCat("participant \"", options.name, "\": no partitioner is called \"",
                                                   options.partitioner, "\", or no compression \"", options.compression,
                                                   "\""));
  }
  auto security = MakeSecurity(options);
  if (!security.ok()) return security.status();
  return std::make_unique<KafkaParticipant>(options, *std::move(security), context);
}

}  // namespace assent::kafka
