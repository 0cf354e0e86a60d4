#include "participants/kafka/inspection.h"

#include <array>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "participants/kafka/wire/cluster_messages.h"

namespace assent::kafka {
namespace {

constexpr std::string_view kMaxTimeout = "transaction.max.timeout.ms";
constexpr std::string_view kMinInSync = "min.insync.replicas";
constexpr std::string_view kReplication = "default.replication.factor";
constexpr std::string_view kUnclean = "unclean.leader.election.enable";
constexpr std::string_view kStateReplication = "transaction.state.log.replication.factor";
constexpr std::string_view kStateMinInSync = "transaction.state.log.min.isr";
constexpr std::array kSettings = {kMaxTimeout, kMinInSync, kReplication, kUnclean, kStateReplication, kStateMinInSync};

class BrokerLook {
 public:
  BrokerLook(std::int32_t broker, const BrokerSettings& settings) : broker_(broker), settings_(settings) {}

  std::optional<std::int64_t> Number(std::string_view setting) const {
    const auto found = settings_.find(std::string(setting));
    std::int64_t number = 0;
    if (found == settings_.end() || !absl::SimpleAtoi(found->second, &number)) return std::nullopt;
    return number;
  }
  bool IsTrue(std::string_view setting) const {
    const auto found = settings_.find(std::string(setting));
    return found != settings_.end() && found->second == "true";
  }

  void Add(v1::Finding::Severity severity, std::string_view setting, std::string_view means, std::string_view fix) {
    v1::Finding& finding = findings_.emplace_back();
    finding.set_severity(severity);
    finding.set_what(absl::StrCat("broker ", broker_, " has ", std::string(setting), " = ",
                                  settings_.at(std::string(setting)), ": ", std::string(means)));
    finding.set_fix(std::string(fix));
  }

  std::vector<v1::Finding> Take() && { return std::move(findings_); }

 private:
  const std::int32_t broker_;
  const BrokerSettings& settings_;
  std::vector<v1::Finding> findings_;
};

}  // namespace

std::vector<v1::Finding> FindingsOf(std::int32_t broker, const BrokerSettings& settings, const KafkaOptions& options) {
  BrokerLook look(broker, settings);
  if (look.IsTrue(kUnclean)) {
    look.Add(v1::Finding::DANGER, kUnclean,
             "a replica that lags may become leader, and drops records that were committed",
             "set it to false on every broker, and on the topics");
  }
  if (look.Number(kStateReplication).value_or(3) < 2) {
    look.Add(v1::Finding::WARNING, kStateReplication,
             "if its one broker loses its disk, nobody knows any more which transactions committed",
             "set it to 3 before the first transaction, or reassign __transaction_state to 3 replicas");
  }
  if (look.Number(kStateMinInSync).value_or(2) < 2) {
    look.Add(v1::Finding::WARNING, kStateMinInSync,
             "the end of a transaction is acknowledged when one replica has it, and is lost with that",
             "set it to 2, with 3 replicas of __transaction_state");
  }
  if (look.Number(kReplication).value_or(3) < 2) {
    look.Add(v1::Finding::WARNING, kReplication, "records of topics that are made by default are lost with one disk",
             "set it to 3, and give topics that are there already 3 replicas");
  }
  if (look.Number(kMinInSync).value_or(2) < 2) {
    look.Add(v1::Finding::WARNING, kMinInSync,
             "records are acknowledged when one replica has them: a failover may lose them, though acks is all",
             "set it to 2, with 3 replicas of each topic");
  }
  const std::int64_t asked_ms = absl::ToInt64Milliseconds(options.transaction_timeout);
  if (look.Number(kMaxTimeout).value_or(asked_ms) < asked_ms) {
    look.Add(
        v1::Finding::WARNING, kMaxTimeout,
        absl::StrCat("while a coordinator is away for longer than that, the broker aborts its transactions; decided "
                     "ones are repaired, and branches of more than max_logged_bytes = ",
                     options.max_logged_bytes, " are prepared only if their transaction ends sooner"),
        absl::StrCat("set it to ", asked_ms, " on every broker"));
  }
  return std::move(look).Take();
}

void Inspect(Cluster& cluster, Participant::InspectDone done) {
  struct Look {
    std::size_t outstanding = 0;
    std::map<std::int32_t, BrokerSettings> settings;
    Participant::InspectDone done;
  };
  auto look = std::make_shared<Look>();
  look->done = std::move(done);
  std::vector<std::pair<std::int32_t, Broker*>> up;
  for (const auto& [node, broker] : cluster.Brokers()) {
    if (broker->is_up()) up.emplace_back(node, broker);
  }
  if (up.empty()) {
    const absl::Status why = cluster.Check();
    return look->done(why.ok() ? absl::UnavailableError("the brokers of the cluster are not known yet") : why);
  }
  look->outstanding = up.size() * kSettings.size();
  const KafkaOptions& options = cluster.options();
  for (const auto& [node, broker] : up) {
    for (const std::string_view setting : kSettings) {
      broker->Call(wire::DescribeConfigsRequest{.broker = node, .setting = std::string(setting)},
                   [look, node = node, setting, &options](Answer<wire::DescribeConfigsResponse> answer) {
                     if (answer.delivery == Delivery::kAnswered && answer.response.value) {
                       look->settings[node][std::string(setting)] = *answer.response.value;
                     }
                     if (--look->outstanding > 0) return;
                     Inspection inspection;
                     for (const auto& [of, settings] : look->settings) {
                       for (v1::Finding& finding : FindingsOf(of, settings, options)) {
                         inspection.findings.push_back(std::move(finding));
                       }
                     }
                     look->done(std::move(inspection));
                   });
    }
  }
}

}  // namespace assent::kafka
