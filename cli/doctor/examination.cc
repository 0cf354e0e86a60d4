#include "cli/doctor/examination.h"

#include <sys/statfs.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <filesystem>
#include <future>
#include <memory>
#include <sstream>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "cli/words.h"
#include "coordinator/log/read_only_log.h"

namespace assent::cli {
namespace {

constexpr std::uint64_t kLittleRoomBytes = 1ull << 30;
constexpr long kTmpfsMagic = 0x01021994;
constexpr absl::Duration kLongInDoubt = absl::Minutes(1);

// The nearest folder that is there: the data folder is made at the first start.
std::string ExistingFolder(const std::string& path) {
  std::filesystem::path folder = std::filesystem::absolute(path);
  std::error_code error;
  while (!std::filesystem::exists(folder, error) && folder != folder.root_path()) folder = folder.parent_path();
  return folder.string();
}

void ExamineRoom(const std::string& data_dir, FindingList& findings) {
  const std::string folder = ExistingFolder(data_dir);
  struct statvfs room {};
  if (statvfs(folder.c_str(), &room) == 0) {
    const std::uint64_t free_bytes = std::uint64_t{room.f_bavail} * room.f_frsize;
    if (free_bytes < kLittleRoomBytes) {
      findings.push_back(MakeFinding(v1::Finding::WARNING, "data folder",
                                     absl::StrCat(data_dir, " has ", free_bytes >> 20,
                                                  " MiB left on its disk: a write of the log that fails ends assentd"),
                                     "make room, or lower transactions.max_outcome_bytes"));
    }
  }
  struct statfs kind {};
  if (statfs(folder.c_str(), &kind) == 0 && kind.f_type == kTmpfsMagic) {
    findings.push_back(
        MakeFinding(v1::Finding::DANGER, "data folder",
                    absl::StrCat(data_dir, " is in memory (tmpfs): a restart of the machine loses every decision"),
                    "put data_dir on a disk"));
  }
}

void ExamineLog(const Config& config, FindingList& findings) {
  std::error_code error;
  if (!std::filesystem::exists(config.data_dir + "/identity", error)) {
    findings.push_back(MakeFinding(v1::Finding::NOTE, "decision log",
                                   absl::StrCat("there is none in ", config.data_dir, ": the first start makes it"),
                                   "nothing, if this coordinator is new; else bring the folder back"));
    return;
  }
  const auto log = OpenDecisionLogReadOnly(config.LogOptions());
  if (!log.ok()) {
    findings.push_back(MakeFinding(v1::Finding::DANGER, "decision log", std::string(log.status().message()),
                                   log.status().code() == absl::StatusCode::kFailedPrecondition
                                       ? "stop what has it, or correct data_dir and coordinator"
                                       : "do not start anything on it; restore the whole folder from its replica"));
    return;
  }
  if (!(*log)->start().unfinished.empty()) {
    findings.push_back(MakeFinding(
        v1::Finding::WARNING, "decision log",
        absl::StrCat(
            (*log)->start().unfinished.size(),
            " decided transactions have not ended, and no coordinator runs that would end them: their branches "
            "hold locks"),
        "start assentd, or run assent recover --offline --apply"));
  }
}

}  // namespace

v1::Finding MakeFinding(v1::Finding::Severity severity, std::string subject, std::string what, std::string fix) {
  v1::Finding finding;
  finding.set_severity(severity);
  finding.set_subject(std::move(subject));
  finding.set_what(std::move(what));
  finding.set_fix(std::move(fix));
  return finding;
}

FindingList MistakesIn(const std::string& message) {
  FindingList findings;
  std::istringstream lines(message);
  for (std::string line; std::getline(lines, line);) {
    if (line.empty()) continue;
    findings.push_back(MakeFinding(v1::Finding::DANGER, "configuration", line, "correct it: assentd refuses to start"));
  }
  return findings;
}

FindingList WarningsOf(const Config& config) {
  FindingList findings;
  for (const std::string& warning : config.warnings) {
    findings.push_back(MakeFinding(v1::Finding::WARNING, "configuration", warning, "see docs/configuration.md"));
  }
  return findings;
}

FindingList ExamineFolder(const Config& config, bool coordinator_runs) {
  FindingList findings;
  ExamineRoom(config.data_dir, findings);
  // One that runs has checked it at its start, and ends when something is wrong with it.
  if (!coordinator_runs) ExamineLog(config, findings);
  return findings;
}

FindingList ExamineCoordinator(AdminClient& client, const v1::ListParticipantsResponse& participants, absl::Time now) {
  FindingList findings;
  for (const v1::ParticipantDescription& participant : participants.participants()) {
    const std::string subject = absl::StrCat("coordinator, participant ", participant.name());
    if (!participant.available()) {
      findings.push_back(MakeFinding(v1::Finding::DANGER, subject,
                                     absl::StrCat("the coordinator cannot reach it: ", participant.health()),
                                     "bring it back: the coordinator goes on by itself"));
    } else if (!participant.takes_branches()) {
      findings.push_back(MakeFinding(v1::Finding::DANGER, subject,
                                     "it takes no branches: it holds work that is not this log's",
                                     "see assent participants for what it is, and docs/protocol.md, \"Another decision "
                                     "log under the same name\""));
    }
    const bool is_old = participant.has_oldest_in_doubt() && now - ToTime(participant.oldest_in_doubt()) > kLongInDoubt;
    if (is_old) {
      findings.push_back(MakeFinding(
          v1::Finding::WARNING, subject,
          absl::StrCat(participant.in_doubt(), " branches are in doubt there, the oldest for ",
                       AgeText(now - ToTime(participant.oldest_in_doubt())), ": they hold locks, or hide records"),
          absl::StrCat("assent transactions --participant ", participant.name(), " says what they wait for")));
    }
  }
  const auto audit = client.ListAudit();
  const bool has_heuristics = audit.ok() && std::any_of(audit->entries().begin(), audit->entries().end(), IsHeuristic);
  if (has_heuristics) {
    findings.push_back(MakeFinding(v1::Finding::WARNING, "coordinator", "some branches did not follow their decision",
                                   "assent heuristics lists them: compare the stores, and put them right by hand"));
  }
  return findings;
}

}  // namespace assent::cli
