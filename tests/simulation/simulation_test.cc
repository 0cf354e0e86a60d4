// Runs seeds of the simulation (README.md). Own options, beside those of GoogleTest:
//   --seeds=N   so many seeds (default 1000)
//   --first=N   from this one on (default 1)
//   --seed=N    this one alone, with its trace
//   --mutant=M  with this known bug
//   --hash      nothing but the hash of all traces

#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <array>
#include <cstdio>
#include <iostream>
#include <map>
#include <memory>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "base/mutant.h"
#include "tests/simulation/world.h"

namespace assent::simulation {
namespace {

// Seeds within which each mutant is found. Most are in the first hundred.
constexpr std::uint64_t kSeedsForAMutant = 10000;

constexpr std::uint64_t kSeedsThatGetEverywhere = 300;
constexpr const char* kPlaces[] = {"commits decided",
                                   "aborts recorded",
                                   "votes unknown",
                                   "deaths between events",
                                   "deaths in the middle of a step",
                                   "starts with unfinished decisions",
                                   "starts that refuse",
                                   "PREPAREs that land after the abort",
                                   "refusals that only the command tag tells",
                                   "stopped backends that outlive their end",
                                   "commits repeated at a database",
                                   "ends that only the state of an id tells",
                                   "repeats answered from the log"};

struct Options {
  std::uint64_t first = 1;
  std::uint64_t seeds = 1000;
  bool is_one_seed = false;
  bool only_hash = false;
  std::string program;
  std::string mutant;
};
Options options;

std::string HowToRepeat(std::uint64_t seed) {
  return absl::StrCat("Once more, with its trace: ", options.program, " --seed=", seed,
                      active_mutant.empty() ? "" : " --mutant=", std::string(active_mutant));
}

std::string Tell(std::uint64_t seed, const RunResult& result) {
  return absl::StrCat("seed ", seed, ": ", *result.violation, "\n", HowToRepeat(seed), "\n",
                      absl::StrJoin(RunSeed(seed, KeepTrace::kYes).trace, "\n"), "\n", *result.violation, "\n",
                      HowToRepeat(seed));
}

TEST(SimulationTest, EverySeedKeepsTheInvariantsAndComesToRest) {
  std::uint64_t events = 0;
  std::map<std::string, std::uint64_t> reached;
  for (std::uint64_t seed = options.first; seed < options.first + options.seeds; ++seed) {
    const RunResult result = RunSeed(seed, options.is_one_seed ? KeepTrace::kYes : KeepTrace::kNo);
    if (options.is_one_seed) std::cout << absl::StrJoin(result.trace, "\n") << "\n";
    ASSERT_FALSE(result.violation) << Tell(seed, result);
    ASSERT_EQ(RunSeed(seed, KeepTrace::kNo).trace_hash, result.trace_hash)
        << "seed " << seed << " does not run the same way twice: something in it is not decided by the seed";
    events += result.events;
    for (const auto& [where, times] : result.reached) reached[where] += times;
  }
  std::cout << options.seeds << " seeds, " << events << " events\n";
  for (const auto& [where, times] : reached) std::cout << absl::StrCat(times, " ", where, "\n");
  // A simulation that no longer gets somewhere would find nothing there.
  if (options.seeds < kSeedsThatGetEverywhere) return;
  for (const char* where : kPlaces) EXPECT_GT(reached[where], 0u) << where;
}

std::uint64_t HashOfAllTraces(std::uint64_t first, std::uint64_t seeds) {
  std::uint64_t hash = 0;
  for (std::uint64_t seed = first; seed < first + seeds; ++seed) {
    hash = hash * 31 + RunSeed(seed, KeepTrace::kNo).trace_hash;
  }
  return hash;
}

// Addresses, and with them the hashes of Abseil's containers, are others there.
TEST(SimulationTest, AnotherProcessRunsTheSameSeedTheSameWay) {
  constexpr std::uint64_t kSeeds = 100;
  const std::string command = absl::StrCat(options.program, " --hash --seeds=", kSeeds);
  const std::unique_ptr<FILE, int (*)(FILE*)> other(popen(command.c_str(), "r"), &pclose);
  ASSERT_NE(other, nullptr) << command;
  std::array<char, 64> said{};
  ASSERT_NE(fgets(said.data(), said.size(), other.get()), nullptr) << command;
  EXPECT_EQ(std::string(said.data()), absl::StrCat(HashOfAllTraces(1, kSeeds), "\n"));
}

class MutantTest : public testing::TestWithParam<const char*> {
 protected:
  MutantTest() { active_mutant = GetParam(); }
  ~MutantTest() override { active_mutant = {}; }
};

TEST_P(MutantTest, IsFound) {
  if (options.is_one_seed || !options.mutant.empty()) GTEST_SKIP() << "one seed, or one mutant, was asked for";
  for (std::uint64_t seed = 1; seed <= kSeedsForAMutant; ++seed) {
    const RunResult result = RunSeed(seed, KeepTrace::kNo);
    if (!result.violation) continue;
    std::cout << GetParam() << ": seed " << seed << ": " << *result.violation << "\n";
    return;
  }
  FAIL() << "the bug \"" << GetParam() << "\" is switched on, and " << kSeedsForAMutant << " seeds do not find it";
}

INSTANTIATE_TEST_SUITE_P(
    KnownBugs, MutantTest,
    testing::Values("committed_before_durable", "told_before_durable", "presumed_committed", "unknown_vote_is_no",
                    "unknown_end_is_done", "epoch_not_bumped", "forgotten_before_end_is_durable", "foreign_work_swept",
                    "names_compared_by_prefix", "command_tag_ignored", "running_work_swept", "swept_only_once",
                    "request_forgotten_at_restart", "abort_of_request_unrecorded", "acknowledged_before_synced",
                    "records_before_sql", "aborted_while_deciding", "unfinished_tokens_untold",
                    "foreign_work_unnoticed", "unfinished_request_misrouted", "taken_over_by_refused_starts"),
    [](const auto& mutant) { return std::string(mutant.param); });

bool ParseOption(std::string argument) {
  const auto number = [&](const char* name, std::uint64_t& value) {
    absl::string_view rest = argument;
    return absl::ConsumePrefix(&rest, name) && absl::SimpleAtoi(rest, &value);
  };
  if (number("--first=", options.first) || number("--seeds=", options.seeds)) return true;
  if (number("--seed=", options.first)) {
    options.seeds = 1;
    options.is_one_seed = true;
    return true;
  }
  if (argument == "--hash") return options.only_hash = true;
  if (!argument.starts_with("--mutant=")) return false;
  options.mutant = argument.substr(std::string("--mutant=").size());
  return true;
}

}  // namespace
}  // namespace assent::simulation

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  assent::simulation::options.program = argv[0];
  for (int i = 1; i < argc; ++i) {
    if (assent::simulation::ParseOption(argv[i])) continue;
    std::cerr << "unknown option " << argv[i] << ": --seeds=N, --first=N, --seed=N and --mutant=NAME are known\n";
    return 2;
  }
  spdlog::set_level(spdlog::level::off);
  assent::active_mutant = assent::simulation::options.mutant;
  if (assent::simulation::options.only_hash) {
    std::cout << assent::simulation::HashOfAllTraces(assent::simulation::options.first,
                                                     assent::simulation::options.seeds)
              << "\n";
    return 0;
  }
  return RUN_ALL_TESTS();
}
