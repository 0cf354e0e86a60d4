// The participants as the doctor sees them: each asked once, past any coordinator.

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "cli/doctor/examination.h"
#include "coordinator/server/participant_factories.h"

namespace assent::cli {
namespace {

constexpr std::chrono::milliseconds kAskEvery(50);

// Asks one participant until it answers, on a loop of its own.
class Examination {
 public:
  Examination(const Config& config, const ParticipantConfig& participant, absl::Duration patience)
      : name_(NameOf(participant)),
        end_(SystemClock().Monotonic() + patience),
        timer_(loop_),
        made_(ParticipantFactories({participant})
                  .front()(ParticipantContext{.loop = loop_,
                                              .clock = SystemClock(),
                                              .coordinator = {.name = config.coordinator, .incarnation = 0}})) {}

  FindingList Run() {
    if (!made_.ok()) return {Danger(std::string(made_.status().message()), "correct its options")};
    boost::asio::post(loop_, [this] {
      (*made_)->Start({}, [] {});
      Ask();
    });
    const auto keep_running = boost::asio::make_work_guard(loop_);
    loop_.run();
    return std::move(findings_);
  }

 private:
  v1::Finding Danger(std::string what, std::string fix) const {
    return MakeFinding(v1::Finding::DANGER, absl::StrCat("participant ", name_), std::move(what), std::move(fix));
  }

  void Ask() {
    (*made_)->Inspect([this](absl::StatusOr<Inspection> inspection) {
      if (inspection.ok()) return Judge(*std::move(inspection));
      if (SystemClock().Monotonic() > end_) {
        findings_.push_back(Danger(absl::StrCat("it cannot be reached from here: ", (*made_)->health().message),
                                   "check its address, its credentials and the network"));
        return loop_.stop();
      }
      timer_.expires_after(kAskEvery);
      timer_.async_wait([this](const boost::system::error_code&) { Ask(); });
    });
  }

  void Judge(Inspection inspection) {
    findings_ = std::move(inspection.findings);
    for (v1::Finding& finding : findings_) finding.set_subject(absl::StrCat("participant ", name_));
    loop_.stop();
  }

  const std::string name_;
  const absl::Duration end_;
  boost::asio::io_context loop_{1};
  boost::asio::steady_timer timer_;
  const absl::StatusOr<std::unique_ptr<Participant>> made_;
  FindingList findings_;
};

}  // namespace

FindingList ExamineParticipants(const Config& config, absl::Duration patience) {
  FindingList findings;
  for (const ParticipantConfig& participant : config.participants) {
    for (v1::Finding& finding : Examination(config, participant, patience).Run())
      findings.push_back(std::move(finding));
  }
  return findings;
}

}  // namespace assent::cli
