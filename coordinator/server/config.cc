#include "coordinator/server/config.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <sstream>
#include <utility>

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "coordinator/server/conninfo.h"
#include "coordinator/server/listen_address.h"
#include "coordinator/server/nearest_name.h"
#include "coordinator/server/option_table.h"
#include "coordinator/server/option_value.h"
#include "participants/kafka/security.h"

namespace assent {
namespace {

using kafka::KafkaOptions;
using postgres::PostgresOptions;

// The key that says of which type a [[participant]] is: the reader's, not an adapter's.
constexpr std::string_view kParticipantType = "type";
constexpr std::string_view kPostgres = "postgres";
constexpr std::string_view kKafka = "kafka";

// Where something was said.
struct Place {
  std::uint32_t line = 0;  // of the file; 0: on the command line
  std::string text;        // "assentd.toml:12:1" or "--listen"
};

// A section of the file.
struct Section {
  std::string name;  // "[transactions]"
  Place where;
};

struct Mistake {
  std::uint32_t line;
  std::string text;
};

std::string FoundValue(const OptionSpec& option, const toml::node& node) {
  if (const auto* text = node.as_string()) {
    return option.describe != nullptr ? option.describe(text->get()) : QuoteToml(text->get());
  }
  if (const auto* number = node.as_integer()) return absl::StrCat(number->get());
  if (const auto* number = node.as_floating_point()) return absl::StrCat(number->get());
  if (const auto* boolean = node.as_boolean()) return boolean->get() ? "true" : "false";
  if (const auto* list = node.as_array()) return list->empty() ? "an empty list" : "a list";
  if (node.is_table()) return "a table";
  return "a date or time";
}

// Turns one parsed file into a Config, collecting every mistake on the way. Lives for one call of ParseConfig.
class ConfigReader {
 public:
  // `checks_files`: whether the files that the configuration names can be used.
  ConfigReader(std::string_view file_name, const ConfigFlags& flags, bool checks_files)
      : file_name_(file_name), flags_(flags), checks_files_(checks_files) {}

  absl::StatusOr<Config> Read(std::string_view toml) {
    const toml::parse_result parsed = toml::parse(toml);
    if (!parsed) {
      Note(Where(parsed.error().source()), std::string(parsed.error().description()));
    } else {
      ReadFile(parsed.table());
      ApplyFlags();
      CheckTogether();
    }
    if (mistakes_.empty()) return std::move(config_);
    std::stable_sort(mistakes_.begin(), mistakes_.end(),
                     [](const Mistake& a, const Mistake& b) { return a.line < b.line; });
    return absl::InvalidArgumentError(
        absl::StrJoin(mistakes_, "\n", [](std::string* text, const Mistake& mistake) { *text += mistake.text; }));
  }

 private:
  Place Where(const toml::source_region& source) const {
    return {source.begin.line, absl::StrCat(file_name_, ":", source.begin.line, ":", source.begin.column)};
  }

  Place Top() const { return {1, absl::StrCat(file_name_, ":1:1")}; }

  void Note(const Place& where, const std::string& what) {
    mistakes_.push_back({where.line, absl::StrCat(where.text, ": ", what)});
  }

  void ReadFile(const toml::table& file) {
    const Section top{"the top level", Top()};
    ReadOptions(file, top, TopLevelOptions(), config_, {"transactions", "log", "tls", "participant"});
    ReadSection(file, "transactions", TransactionsOptions());
    ReadSection(file, "log", LogOptions());
    ReadSection(file, "tls", TlsOptions());
    ReadParticipants(file);
  }

  void ReadSection(const toml::table& file, std::string_view name, std::span<const Option<Config>> options) {
    const toml::node* node = file.get(name);
    if (node == nullptr) return;
    Section section{absl::StrCat("[", std::string(name), "]"), Where(node->source())};
    where_[section.name] = section.where;
    has_tls_section_ |= name == "tls";
    if (!node->is_table()) {
      Note(section.where, absl::StrCat("\"", std::string(name), "\" must be a section, ", section.name));
      return;
    }
    ReadOptions(*node->as_table(), section, options, config_, {});
  }

  // `others`: keys that are legal there and read elsewhere.
  template <typename Owner>
  void ReadOptions(const toml::table& table, const Section& section, std::span<const Option<Owner>> options,
                   Owner& owner, std::vector<std::string_view> others) {
    for (const auto& [key, node] : table) {
      if (std::find(others.begin(), others.end(), key.str()) != others.end()) continue;
      const auto option = std::find_if(options.begin(), options.end(),
                                       [name = key.str()](const auto& known) { return known.name == name; });
      if (option == options.end()) {
        UnknownKey(key, section, options, others);
      } else {
        where_[std::string(key.str())] = Where(node.source());
        ReadValue(*option, option->field(owner), node);
      }
    }
    for (const auto& option : options) {
      if (!option.required || table.contains(option.name)) continue;
      Note(section.where,
           absl::StrCat(section.name, " lacks \"", std::string(option.name), "\": expected ", ExpectedValue(option),
                        ", for example ", std::string(option.name), " = ", std::string(option.example)));
    }
  }

  template <typename Owner>
  void UnknownKey(const toml::key& key, const Section& section, std::span<const Option<Owner>> options,
                  std::vector<std::string_view> names) {
    for (const auto& option : options) names.push_back(option.name);
    std::string message = absl::StrCat("unknown key \"", std::string(key.str()), "\" in ", section.name);
    const std::string nearest = NearestName(key.str(), names);
    absl::StrAppend(&message, nearest.empty() ? "." : absl::StrCat("; did you mean \"", nearest, "\"?"));
    std::vector<std::string> known(names.begin(), names.end());
    Note(Where(key.source()), absl::StrCat(message, " Expected one of: ", absl::StrJoin(known, ", ")));
  }

  void WrongValue(const OptionSpec& option, const toml::node& node) {
    Note(Where(node.source()), absl::StrCat("\"", std::string(option.name), "\" is ", FoundValue(option, node),
                                            "; expected ", ExpectedValue(option)));
  }

  void ReadValue(const OptionSpec& option, const OptionField& field, const toml::node& node) {
    if (option.type == OptionType::kTexts) return ReadTexts(option, *std::get<std::vector<std::string>*>(field), node);
    bool stored = false;
    if (const auto* text = node.as_string()) stored = StoreText(option, field, text->get());
    if (const auto* number = node.as_integer()) stored = StoreCount(option, field, number->get());
    if (const auto* boolean = node.as_boolean()) stored = StoreBoolean(field, boolean->get());
    if (!stored) WrongValue(option, node);
  }

  void ReadTexts(const OptionSpec& option, std::vector<std::string>& texts, const toml::node& node) {
    const toml::array* list = node.as_array();
    if (list == nullptr || list->empty()) return WrongValue(option, node);
    texts.clear();
    for (const toml::node& element : *list) {
      const auto* text = element.as_string();
      if (text == nullptr || !IsValidText(option, text->get())) {
        WrongValue(option, element);
      } else {
        texts.push_back(text->get());
      }
    }
  }

  void ReadParticipants(const toml::table& file) {
    const toml::node* node = file.get("participant");
    const toml::array* list = node == nullptr ? nullptr : node->as_array();
    if (list == nullptr || list->empty() || !list->is_homogeneous(toml::node_type::table)) {
      Note(node == nullptr ? Top() : Where(node->source()),
           "no participant: expected at least one [[participant]] section, with a name and a type");
      return;
    }
    for (const toml::node& participant : *list) ReadParticipant(*participant.as_table());
  }

  void ReadParticipant(const toml::table& table) {
    const Section section{"[[participant]]", Where(table.source())};
    const toml::node* type = table.get(kParticipantType);
    const std::string_view name = type == nullptr ? "" : std::string_view(type->value_or(std::string_view()));
    if (name == kPostgres) {
      AddParticipant(table, section, PostgresParticipantOptions());
    } else if (name == kKafka) {
      AddParticipant(table, section, KafkaParticipantOptions());
    } else if (type == nullptr) {
      Note(section.where, "[[participant]] lacks \"type\": expected \"postgres\" or \"kafka\"");
    } else {
      Note(Where(type->source()),
           absl::StrCat("\"type\" is ", FoundValue({}, *type), "; expected \"postgres\" or \"kafka\""));
    }
  }

  template <typename Options>
  void AddParticipant(const toml::table& table, const Section& section, std::span<const Option<Options>> options) {
    Options participant;
    ReadOptions(table, section, options, participant, {kParticipantType});
    for (const ParticipantConfig& other : config_.participants) {
      if (participant.name.empty() || NameOf(other) != participant.name) continue;
      Note(where_["name"],
           absl::StrCat("two participants are named \"", participant.name, "\"; expected a name of its own for each"));
    }
    if constexpr (std::is_same_v<Options, PostgresOptions>) WarnOfPassword(participant);
    if constexpr (std::is_same_v<Options, KafkaOptions>) {
      CheckCluster(participant);
      CheckSecurity(participant, section.where);
    }
    if (config_.shards > MostShards(participant)) {
      Note(WhereIs("shards", ""),
           absl::StrCat("\"shards\" is ", config_.shards, "; expected at most ", MostShards(participant),
                        ", as participant \"", participant.name,
                        "\" splits its max_connections (two for each shard) or max_transactional_ids over them"));
    }
    config_.participants.emplace_back(std::move(participant));
  }

  // A coordinator has one pool of transactional ids in a cluster: two participants would fence each other's, decided
  // transactions included.
  void CheckCluster(const KafkaOptions& participant) {
    for (const ParticipantConfig& config : config_.participants) {
      const auto* other = std::get_if<KafkaOptions>(&config);
      if (other == nullptr) continue;
      const std::vector<std::string>& theirs = other->bootstrap_servers;
      for (const std::string& server : participant.bootstrap_servers) {
        if (std::find(theirs.begin(), theirs.end(), server) == theirs.end()) continue;
        Note(where_["bootstrap_servers"],
             absl::StrCat("\"bootstrap_servers\" of participant \"", participant.name, "\" name ", server,
                          ", as those of participant \"", other->name,
                          "\" do; expected one participant for a Kafka cluster, which takes records of any topic"));
      }
    }
  }

  void CheckSecurity(const KafkaOptions& participant, const Place& where) {
    if (participant.sasl_mechanism == "PLAIN" && !participant.tls) {
      config_.warnings.push_back(
          absl::StrCat(where.text, ": participant \"", participant.name,
                       "\" sends its password in the clear: sasl_mechanism = PLAIN without tls"));
    }
    if (!checks_files_) return;
    const absl::Status usable = kafka::MakeSecurity(participant).status();
    if (!usable.ok()) Note(where, std::string(usable.message()));
  }

  void WarnOfPassword(const PostgresOptions& participant) {
    if (!HasPassword(participant.conninfo)) return;
    config_.warnings.push_back(
        absl::StrCat(where_["conninfo"].text, ": the conninfo of participant \"", participant.name,
                     "\" holds a password; put it into a passfile (passfile=… in the conninfo, or PGPASSFILE)"));
  }

  // The same checks as for the file; messages name the flag.
  void ApplyFlags() {
    if (flags_.data_dir) StoreFlag("--data-dir", "data_dir", *flags_.data_dir);
    if (flags_.log_level) StoreFlag("--log-level", "log_level", *flags_.log_level);
    config_.engine.adopt = flags_.adopt;
    if (flags_.listen.empty()) return;
    config_.listen = flags_.listen;
    where_["listen"] = {0, "--listen"};
    for (const std::string& address : flags_.listen) {
      const OptionSpec& option = TopLevelOption("listen");
      if (!IsValidText(option, address)) {
        Note({0, "--listen"}, absl::StrCat(QuoteToml(address), "; expected ", std::string(option.expected)));
      }
    }
  }

  void StoreFlag(const std::string& flag, std::string_view name, const std::string& value) {
    const Option<Config>& option = TopLevelOption(name);
    if (StoreText(option, option.field(config_), value)) return;
    Note({0, flag}, absl::StrCat(QuoteToml(value), "; expected ", std::string(option.expected)));
  }

  static const Option<Config>& TopLevelOption(std::string_view name) {
    const auto options = TopLevelOptions();
    return *std::find_if(options.begin(), options.end(), [&](const auto& option) { return option.name == name; });
  }

  Place WhereIs(const std::string& key, const std::string& section) const {
    for (const std::string& name : {key, section}) {
      if (const auto found = where_.find(name); found != where_.end()) return found->second;
    }
    return Top();
  }

  // What one option alone does not show.
  void CheckTogether() {
    if (config_.engine.default_timeout > config_.engine.max_timeout) {
      Note(WhereIs("default_timeout", "[transactions]"),
           absl::StrCat("\"default_timeout\" is ", absl::FormatDuration(config_.engine.default_timeout),
                        "; expected at most \"max_timeout\", which is ",
                        absl::FormatDuration(config_.engine.max_timeout)));
    }
    // What a longer transaction has prepared when the process dies is taken for forgotten, and keeps its locks.
    if (config_.log.outcome_retention < config_.engine.max_timeout) {
      Note(WhereIs("outcome_retention", "[transactions]"),
           absl::StrCat("\"outcome_retention\" is ", absl::FormatDuration(config_.log.outcome_retention),
                        "; expected at least \"max_timeout\", which is ",
                        absl::FormatDuration(config_.engine.max_timeout)));
    }
    if (config_.engine.first_retry > config_.engine.last_retry) {
      Note(WhereIs("first_retry", "[transactions]"),
           absl::StrCat("\"first_retry\" is ", absl::FormatDuration(config_.engine.first_retry),
                        "; expected at most \"last_retry\", which is ",
                        absl::FormatDuration(config_.engine.last_retry)));
    }
    CheckTls();
    CheckListen();
  }

  void CheckTls() {
    const TlsFiles& tls = config_.tls;
    if (has_tls_section_ && (tls.certificate.empty() || tls.key.empty())) {
      Note(WhereIs("[tls]", ""), "[tls] is incomplete; expected both \"certificate\" and \"key\"");
    }
    if (!tls.certificate.empty() && !tls.key.empty() && checks_files_) {
      const absl::Status usable = ReadTlsFiles(tls).status();
      if (!usable.ok()) Note(WhereIs("[tls]", ""), absl::StrCat("[tls] ", std::string(usable.message())));
    }
    if (tls.enabled() && config_.insecure) {
      Note(WhereIs("insecure", ""), "\"insecure\" is true beside [tls]; expected one of the two");
    }
  }

  void CheckListen() {
    if (config_.tls.enabled() || config_.insecure) return;
    for (const std::string& text : config_.listen) {
      const auto address = ParseListenAddress(text);
      if (!address || address->kind != ListenAddress::Kind::kNetwork) continue;
      Note(WhereIs("listen", ""),
           absl::StrCat("\"", text,
                        "\" can be reached from other machines, and whoever reaches it may run SQL; expected a "
                        "loopback address or a Unix socket, or [tls] with certificate and key, or insecure = true"));
    }
  }

  const std::string file_name_;
  const ConfigFlags& flags_;
  const bool checks_files_;
  Config config_;
  bool has_tls_section_ = false;
  std::vector<Mistake> mistakes_;
  std::map<std::string, Place> where_;  // key, or section in brackets: where it was read last
};

}  // namespace

const std::string& NameOf(const ParticipantConfig& participant) {
  return std::visit([](const auto& options) -> const std::string& { return options.name; }, participant);
}

std::uint32_t MostShards(const ParticipantConfig& participant) {
  if (const auto* postgres = std::get_if<PostgresOptions>(&participant)) return postgres->max_connections / 2;
  return static_cast<std::uint32_t>(std::get<KafkaOptions>(participant).max_transactional_ids);
}

EngineOptions Config::EngineOptionsFor(std::uint32_t cores) const {
  EngineOptions options = engine;
  options.shards = shards;
  options.outcome_retention = log.outcome_retention;
  if (shards != 0) return options;
  options.shards = std::max(1u, cores / 2);
  for (const ParticipantConfig& participant : participants) {
    options.shards = std::min(options.shards, MostShards(participant));
  }
  return options;
}

DecisionLogOptions Config::LogOptions() const {
  DecisionLogOptions options = log;
  options.data_dir = data_dir;
  options.coordinator = coordinator;
  return options;
}

absl::StatusOr<Config> ParseConfig(std::string_view toml, std::string_view file_name, const ConfigFlags& flags) {
  return ConfigReader(file_name, flags, /*checks_files=*/false).Read(toml);
}

absl::StatusOr<Config> ReadConfigFile(const std::string& path, const ConfigFlags& flags) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (file && file.peek() != std::ifstream::traits_type::eof()) text << file.rdbuf();  // which fails at no bytes
  if (!file.is_open() || file.bad() || !text) {
    return absl::NotFoundError(absl::StrCat(path,
                                            ": cannot be read. Say where the configuration is with --config "
                                            "FILE; assentd --print-default-config shows one to start from"));
  }
  return ConfigReader(path, flags, /*checks_files=*/true).Read(text.str());
}

}  // namespace assent
