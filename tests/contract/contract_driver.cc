#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/contract/participant_contract.h"

namespace assent {

Participant& ContractDriver::Start(ParticipantHarness& harness, std::uint32_t epoch,
                                   std::vector<std::string> unfinished_tokens, bool await_available) {
  const ParticipantContext context{
      .loop = loop_, .clock = SystemClock(), .coordinator = coordinator_, .epoch = epoch, .shard = 0, .shard_count = 1};
  instances_.push_back(harness.Make(context));
  Participant& participant = *instances_.back();
  const int before = available_count_;
  participant.Start(std::move(unfinished_tokens), [this] { ++available_count_; });
  participant.TakeOver();
  if (await_available) {
    EXPECT_TRUE(RunUntil([&] { return available_count_ > before; })) << participant.health().message;
  }
  return participant;
}

BranchId ContractDriver::NewBranch(std::uint32_t epoch) {
  return {.txn = {.coordinator = coordinator_, .epoch = epoch, .shard = 0, .sequence = ++last_sequence_},
          .name = "branch"};
}

bool ContractDriver::RunUntil(const std::function<bool()>& condition, absl::Duration patience) {
  const auto deadline = std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(patience);
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    loop_.run_one_until(std::min(deadline, std::chrono::steady_clock::now() + std::chrono::milliseconds(50)));
  }
  return true;
}

void ContractDriver::RunFor(absl::Duration duration) { loop_.run_for(absl::ToChronoNanoseconds(duration)); }

template <typename T, typename Call>
T ContractDriver::Await(const char* what, Call call) {
  // Shared with the completion, which may come after the test has given up.
  auto answer = std::make_shared<std::optional<T>>();
  call([answer](T value) {
    EXPECT_FALSE(answer->has_value()) << "a completion ran twice";
    *answer = std::move(value);
  });
  if (!RunUntil([&] { return answer->has_value(); })) {
    ADD_FAILURE() << what << " was not answered within " << absl::FormatDuration(kPatience);
    return T();
  }
  return std::move(**answer);
}

ExecuteOutcome ContractDriver::Execute(Participant& participant, const BranchId& branch, v1::Operation operation) {
  return Await<ExecuteOutcome>("Execute",
                               [&](auto done) { participant.Execute(branch, std::move(operation), std::move(done)); });
}

Vote ContractDriver::Prepare(Participant& participant, const BranchId& branch) {
  return Await<Vote>("Prepare", [&](auto done) { participant.Prepare(branch, std::move(done)); });
}

Finish ContractDriver::Commit(Participant& participant, const BranchId& branch, const std::string& token) {
  return Await<Finish>("Commit", [&](auto done) { participant.Commit(branch, token, std::move(done)); });
}

Finish ContractDriver::Abort(Participant& participant, const BranchId& branch, const std::string& token) {
  return Await<Finish>("Abort", [&](auto done) { participant.Abort(branch, token, std::move(done)); });
}

Finish ContractDriver::CommitUntilEnded(Participant& participant, const BranchId& branch, const std::string& token) {
  const absl::Time give_up = absl::Now() + kPatience;
  Finish finish = Commit(participant, branch, token);
  while (finish.kind == Finish::Kind::kRetry && absl::Now() < give_up) {
    RunFor(absl::Milliseconds(10));
    finish = Commit(participant, branch, token);
  }
  return finish;
}

Finish ContractDriver::AbortUntilEnded(Participant& participant, const BranchId& branch, const std::string& token) {
  const absl::Time give_up = absl::Now() + kPatience;
  Finish finish = Abort(participant, branch, token);
  while (finish.kind == Finish::Kind::kRetry && absl::Now() < give_up) {
    RunFor(absl::Milliseconds(10));
    finish = Abort(participant, branch, token);
  }
  return finish;
}

absl::StatusOr<OwnWork> ContractDriver::ListOwn(Participant& participant) {
  auto answer = std::make_shared<std::optional<absl::StatusOr<OwnWork>>>();
  participant.ListOwn([answer](absl::StatusOr<OwnWork> work) { *answer = std::move(work); });
  if (!RunUntil([&] { return answer->has_value(); })) return absl::DeadlineExceededError("ListOwn was not answered");
  return std::move(**answer);
}

void ParticipantContract::UseServer(const HarnessFactory& factory) {
  std::string why_not;
  harness_ = factory(why_not);
  if (harness_ == nullptr) GTEST_SKIP() << why_not;
}

std::string ParticipantContract::NewValue() {
  return absl::StrCat(coordinator_.name, "-", absl::Hex(coordinator_.incarnation), "-", ++values_);
}

CoordinatorId ParticipantContract::RandomCoordinator() {
  std::random_device random;
  return {.name = absl::StrCat("contract", random() % 1'000'000),
          .incarnation = (std::uint64_t{random()} << 32) | random()};
}

}  // namespace assent
