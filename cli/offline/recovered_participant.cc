#include "cli/offline/recovered_participant.h"

#include <memory>
#include <utility>

namespace assent::cli {
namespace {

class RecoveredParticipant final : public Participant {
 public:
  RecoveredParticipant(std::unique_ptr<Participant> inner, RecoveryProgress& progress, bool apply)
      : inner_(std::move(inner)), progress_(progress), apply_(apply) {}

  std::string_view name() const override { return inner_->name(); }
  ParticipantKind kind() const override { return inner_->kind(); }
  void Start(std::vector<std::string> unfinished_tokens, std::function<void()> on_available) override {
    inner_->Start(std::move(unfinished_tokens), std::move(on_available));
  }

  void TakeOver() override {
    taken_over_ = true;
    if (apply_) inner_->TakeOver();
  }
  void Commit(const BranchId& branch, const std::string& token, FinishDone done) override {
    if (apply_) inner_->Commit(branch, token, std::move(done));
  }
  void Abort(const BranchId& branch, const std::string& token, FinishDone done) override {
    if (apply_) inner_->Abort(branch, token, std::move(done));
  }
  void ListOwn(ListDone done) override {
    inner_->ListOwn([this, was_taken_over = taken_over_, done = std::move(done)](absl::StatusOr<OwnWork> work) mutable {
      const bool answered = work.ok();
      RecoveryProgress::Listed listed{.since_taken_over = was_taken_over};
      if (answered) listed.left_open = work->left_open;
      done(std::move(work));
      // Afterwards: whoever reads it finds that the sweep has judged.
      if (answered) progress_.Note(std::string(name()), std::move(listed));
    });
  }

  // Nobody begins a transaction in an offline recovery, but the port is whole.
  absl::Status Open(const BranchId& branch, const v1::BranchOptions& options, absl::Time deadline) override {
    return inner_->Open(branch, options, deadline);
  }
  void Execute(const BranchId& branch, v1::Operation operation, ExecuteDone done) override {
    inner_->Execute(branch, std::move(operation), std::move(done));
  }
  void Prepare(const BranchId& branch, PrepareDone done) override { inner_->Prepare(branch, std::move(done)); }
  void Forget(const BranchId& branch, const std::string& token) override { inner_->Forget(branch, token); }

  ParticipantHealth health() const override { return inner_->health(); }
  void Inspect(InspectDone done) override { inner_->Inspect(std::move(done)); }
  void MeasureHidden(HiddenDone done) override { inner_->MeasureHidden(std::move(done)); }
  std::string DescribeToken(const std::string& token) const override { return inner_->DescribeToken(token); }

 private:
  const std::unique_ptr<Participant> inner_;
  RecoveryProgress& progress_;
  const bool apply_;
  bool taken_over_ = false;
};

}  // namespace

void RecoveryProgress::Note(const std::string& participant, Listed listed) {
  const std::lock_guard lock(mutex_);
  listed_[participant] = std::move(listed);
}

RecoveryProgress::Listed RecoveryProgress::Of(const std::string& participant) const {
  const std::lock_guard lock(mutex_);
  const auto found = listed_.find(participant);
  return found == listed_.end() ? Listed() : found->second;
}

ParticipantFactory Recovered(ParticipantFactory factory, RecoveryProgress& progress, bool apply) {
  return [factory = std::move(factory), &progress,
          apply](const ParticipantContext& context) -> absl::StatusOr<std::unique_ptr<Participant>> {
    auto made = factory(context);
    if (!made.ok()) return made.status();
    return std::make_unique<RecoveredParticipant>(*std::move(made), progress, apply);
  };
}

}  // namespace assent::cli
