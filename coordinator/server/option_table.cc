#include "coordinator/server/option_table.h"

#include <algorithm>
#include <array>

#include "base/ids.h"
#include "coordinator/server/listen_address.h"

namespace assent {
namespace {

constexpr std::array<std::string_view, 5> kLevels = {"trace", "debug", "info", "warning", "error"};

bool IsLogLevel(std::string_view level) { return std::find(kLevels.begin(), kLevels.end(), level) != kLevels.end(); }

bool IsListenAddress(std::string_view text) { return ParseListenAddress(text).has_value(); }

bool IsNotEmpty(std::string_view text) { return !text.empty(); }

}  // namespace

std::span<const Option<Config>> TopLevelOptions() {
  static const std::vector<Option<Config>> options = {
      {{.name = "coordinator",
        .type = OptionType::kText,
        .doc = "Name of this coordinator: part of every id it makes, so never change it and never give it to two.",
        .example = "\"orders\"",
        .required = true,
        .valid = IsCoordinatorName,
        .expected = "1 to 32 of a-z and 0-9"},
       [](Config& c) -> OptionField { return &c.coordinator; }},
      {{.name = "data_dir",
        .type = OptionType::kText,
        .doc = "Folder of the decision log. One running assentd a folder; on a disk that keeps what it has synced. A "
               "copy is no backup (protocol.md).",
        .valid = IsNotEmpty,
        .expected = "a folder"},
       [](Config& c) -> OptionField { return &c.data_dir; }},
      {{.name = "listen",
        .type = OptionType::kTexts,
        .doc =
            "Addresses to serve on. Any but loopback and Unix sockets needs [tls], or insecure = true. Port 0: a free "
            "one.",
        .valid = IsListenAddress,
        .expected = "each host:port, [IPv6 address]:port or unix:/absolute/path"},
       [](Config& c) -> OptionField { return &c.listen; }},
      {{.name = "shards",
        .type = OptionType::kCount,
        .doc = "Threads that run transactions. 0: half of the machine's cores, if the participants' bounds allow. May "
               "change between starts.",
        .minimum = "0",
        .maximum = "256"},
       [](Config& c) -> OptionField { return &c.shards; }},
      {{.name = "insecure",
        .type = OptionType::kBoolean,
        .doc = "Serve any address without TLS. Whoever reaches it may run SQL in every participant."},
       [](Config& c) -> OptionField { return &c.insecure; }},
      {{.name = "max_calls",
        .type = OptionType::kCount,
        .doc = "Calls in progress at once, those that wait included. One more is UNAVAILABLE: its caller repeats it.",
        .minimum = "1",
        .maximum = "1000000"},
       [](Config& c) -> OptionField { return &c.max_calls; }},
      {{.name = "log_level",
        .type = OptionType::kText,
        .doc = "What is written to standard error.",
        .valid = IsLogLevel,
        .expected = "trace, debug, info, warning or error"},
       [](Config& c) -> OptionField { return &c.log_level; }},
      {{.name = "start_patience",
        .type = OptionType::kDuration,
        .doc = "How long a start waits for every participant to say what it holds of this coordinator, before serving "
               "without the silent ones.",
        .minimum = "0s",
        .maximum = "1h"},
       [](Config& c) -> OptionField { return &c.start_patience; }},
      {{.name = "stop_patience",
        .type = OptionType::kDuration,
        .doc = "How long a stop lets calls finish that it has already taken.",
        .minimum = "0s",
        .maximum = "1h"},
       [](Config& c) -> OptionField { return &c.stop_patience; }},
  };
  return options;
}

std::span<const Option<Config>> TransactionsOptions() {
  static const std::vector<Option<Config>> options = {
      {{.name = "default_timeout",
        .type = OptionType::kDuration,
        .doc = "Of a transaction that asks for none. What is undecided by then is aborted.",
        .minimum = "1ms",
        .maximum = "168h"},
       [](Config& c) -> OptionField { return &c.engine.default_timeout; }},
      {{.name = "max_timeout",
        .type = OptionType::kDuration,
        .doc = "The longest that a transaction may ask for.",
        .minimum = "1ms",
        .maximum = "168h"},
       [](Config& c) -> OptionField { return &c.engine.max_timeout; }},
      {{.name = "max_open",
        .type = OptionType::kCount,
        .doc = "Transactions open at once. One more is refused with RESOURCE_EXHAUSTED.",
        .minimum = "1",
        .maximum = "10000000"},
       [](Config& c) -> OptionField { return &c.engine.max_open; }},
      {{.name = "max_branches",
        .type = OptionType::kCount,
        .doc = "Branches of one transaction.",
        .minimum = "1",
        .maximum = "1000"},
       [](Config& c) -> OptionField { return &c.engine.max_branches; }},
      {{.name = "max_request_bytes",
        .type = OptionType::kSize,
        .doc = "The work of one transaction, over all its calls.",
        .minimum = "1KiB",
        .maximum = "1GiB"},
       [](Config& c) -> OptionField { return &c.engine.max_request_bytes; }},
      {{.name = "max_operations",
        .type = OptionType::kCount,
        .doc = "Operations of one transaction, over all its calls; each run of an SQL statement counts as one.",
        .minimum = "1",
        .maximum = "10000000"},
       [](Config& c) -> OptionField { return &c.engine.max_operations; }},
      {{.name = "max_reply_bytes",
        .type = OptionType::kSize,
        .doc = "The results that one Execute, or all of one Submit, may return; more end the transaction. Stock gRPC "
               "clients take 4MiB.",
        .minimum = "64KiB",
        .maximum = "1GiB"},
       [](Config& c) -> OptionField { return &c.engine.max_reply_bytes; }},
      {{.name = "max_stored_reply_bytes",
        .type = OptionType::kSize,
        .doc = "Replies of one transaction that are kept for repeated calls.",
        .minimum = "1KiB",
        .maximum = "1GiB"},
       [](Config& c) -> OptionField { return &c.engine.max_stored_reply_bytes; }},
      {{.name = "max_remembered",
        .type = OptionType::kCount,
        .doc = "Ended transactions kept in memory, to answer repeats without a read of the log.",
        .minimum = "0",
        .maximum = "10000000"},
       [](Config& c) -> OptionField { return &c.engine.max_remembered; }},
      {{.name = "outcome_retention",
        .type = OptionType::kDuration,
        .doc =
            "How long the outcome of a transaction can be asked for, and a request_id is known. At least max_timeout.",
        .minimum = "1m",
        .maximum = "87600h"},
       [](Config& c) -> OptionField { return &c.log.outcome_retention; }},
      {{.name = "max_outcome_bytes",
        .type = OptionType::kSize,
        .doc = "Disk that kept outcomes may take; over it, the oldest are forgotten before their retention.",
        .minimum = "1MiB"},
       [](Config& c) -> OptionField { return &c.log.max_outcome_bytes; }},
      {{.name = "sweep_interval",
        .type = OptionType::kDuration,
        .doc = "Between two looks for prepared work that no transaction owns.",
        .minimum = "100ms",
        .maximum = "1h"},
       [](Config& c) -> OptionField { return &c.engine.sweep_interval; }},
      {{.name = "first_retry",
        .type = OptionType::kDuration,
        .doc = "Until a branch that could not be finished is tried again; doubles with each attempt.",
        .minimum = "1ms",
        .maximum = "1m"},
       [](Config& c) -> OptionField { return &c.engine.first_retry; }},
      {{.name = "last_retry", .type = OptionType::kDuration, .doc = "Up to this.", .minimum = "1ms", .maximum = "1h"},
       [](Config& c) -> OptionField { return &c.engine.last_retry; }},
      {{.name = "max_recovering",
        .type = OptionType::kCount,
        .doc = "Branches finished at a time at one participant, of those that an earlier process left or that are "
               "tried again.",
        .minimum = "1",
        .maximum = "100000"},
       [](Config& c) -> OptionField { return &c.engine.max_recovering; }},
  };
  return options;
}

std::span<const Option<Config>> LogOptions() {
  static const std::vector<Option<Config>> options = {
      {{.name = "end_sync_delay",
        .type = OptionType::kDuration,
        .doc = "How long the end of a transaction may wait for another write to be synced with, where something waits "
               "for it.",
        .minimum = "0s",
        .maximum = "10s"},
       [](Config& c) -> OptionField { return &c.log.end_sync_delay; }},
      {{.name = "max_group_bytes",
        .type = OptionType::kSize,
        .doc = "Of decisions that are written and synced together.",
        .minimum = "4KiB",
        .maximum = "1GiB"},
       [](Config& c) -> OptionField { return &c.log.max_group_bytes; }},
      {{.name = "max_wal_bytes",
        .type = OptionType::kSize,
        .doc = "Of the write-ahead log, which a start reads again.",
        .minimum = "1MiB",
        .maximum = "64GiB"},
       [](Config& c) -> OptionField { return &c.log.max_wal_bytes; }},
      {{.name = "write_buffer_bytes",
        .type = OptionType::kSize,
        .doc = "Of memory, for each of the log's five column families.",
        .minimum = "64KiB",
        .maximum = "4GiB"},
       [](Config& c) -> OptionField { return &c.log.write_buffer_bytes; }},
      {{.name = "block_cache_bytes",
        .type = OptionType::kSize,
        .doc = "Of memory, for look-ups of outcomes.",
        .minimum = "64KiB",
        .maximum = "64GiB"},
       [](Config& c) -> OptionField { return &c.log.block_cache_bytes; }},
  };
  return options;
}

std::span<const Option<Config>> TlsOptions() {
  static const std::vector<Option<Config>> options = {
      {{.name = "certificate",
        .type = OptionType::kText,
        .doc = "PEM file of the server's certificate, followed by its chain. All of host:port speaks TLS then.",
        .example = "\"/etc/assent/server.crt\"",
        .valid = IsNotEmpty,
        .expected = "a file"},
       [](Config& c) -> OptionField { return &c.tls.certificate; }},
      {{.name = "key",
        .type = OptionType::kText,
        .doc = "PEM file of its private key.",
        .example = "\"/etc/assent/server.key\"",
        .valid = IsNotEmpty,
        .expected = "a file"},
       [](Config& c) -> OptionField { return &c.tls.key; }},
      {{.name = "client_ca",
        .type = OptionType::kText,
        .doc = "PEM file of the authority whose certificates clients must show. Without it, any client is served.",
        .example = "\"/etc/assent/clients.crt\"",
        .valid = IsNotEmpty,
        .expected = "a file"},
       [](Config& c) -> OptionField { return &c.tls.client_ca; }},
  };
  return options;
}

}  // namespace assent
