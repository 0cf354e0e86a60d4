#include "coordinator/server/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"

namespace assent {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr char kParticipant[] =
    "[[participant]]\nname = \"events\"\ntype = \"kafka\"\nbootstrap_servers = [\"b:9092\"]\n";

std::string Minimal(const std::string& top = "", const std::string& sections = "") {
  return absl::StrCat("coordinator = \"orders\"\n", top, sections, kParticipant);
}

absl::StatusOr<Config> Parse(const std::string& toml, const ConfigFlags& flags = {}) {
  return ParseConfig(toml, "assentd.toml", flags);
}

std::string Refusal(const std::string& toml, const ConfigFlags& flags = {}) {
  const auto config = Parse(toml, flags);
  EXPECT_FALSE(config.ok()) << toml;
  return config.ok() ? "" : std::string(config.status().message());
}

TEST(ConfigTest, LeftOutOptionsHaveTheirDefaults) {
  const auto config = Parse(Minimal());
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->coordinator, "orders");
  EXPECT_EQ(config->data_dir, "/var/lib/assent");
  EXPECT_THAT(config->listen, ElementsAre("127.0.0.1:7411"));
  EXPECT_EQ(config->shards, 0u);
  EXPECT_FALSE(config->insecure);
  EXPECT_EQ(config->log_level, "info");
  EXPECT_EQ(config->engine.default_timeout, absl::Seconds(30));
  EXPECT_EQ(config->engine.max_open, 100'000u);
  EXPECT_EQ(config->log.outcome_retention, absl::Hours(24));
  EXPECT_EQ(config->log.max_outcome_bytes, 10ull << 30);
  EXPECT_FALSE(config->tls.enabled());
  EXPECT_FALSE(config->engine.adopt);
}

TEST(ConfigTest, EveryTopLevelOptionIsRead) {
  const auto config =
      Parse(Minimal("data_dir = \"/data\"\nlisten = [\"[::1]:0\", \"unix:/run/a.sock\"]\nshards = 3\n"
                    "insecure = true\nlog_level = \"debug\"\nstart_patience = \"1s\"\nmax_calls = 77\n"
                    "stop_patience = \"2s\"\n"));
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->data_dir, "/data");
  EXPECT_EQ(config->LogOptions().data_dir, "/data");
  EXPECT_EQ(config->LogOptions().coordinator, "orders");
  EXPECT_THAT(config->listen, ElementsAre("[::1]:0", "unix:/run/a.sock"));
  EXPECT_EQ(config->EngineOptionsFor(8).shards, 3u);
  EXPECT_TRUE(config->insecure);
  EXPECT_EQ(config->log_level, "debug");
  EXPECT_EQ(config->max_calls, 77u);
  EXPECT_EQ(config->start_patience, absl::Seconds(1));
  EXPECT_EQ(config->stop_patience, absl::Seconds(2));
}

TEST(ConfigTest, EveryTransactionsAndLogOptionIsRead) {
  const auto config = Parse(Minimal(
      "",
      "[transactions]\ndefault_timeout = \"5s\"\nmax_timeout = \"10m\"\nmax_open = 7\nmax_branches = 8\n"
      "max_request_bytes = \"1MiB\"\nmax_reply_bytes = \"3MiB\"\nmax_stored_reply_bytes = \"2MiB\"\nmax_remembered = "
      "9\n"
      "outcome_retention = \"48h\"\nmax_outcome_bytes = \"1GiB\"\nsweep_interval = \"3s\"\nfirst_retry = \"5ms\"\n"
      "last_retry = \"1m\"\nmax_recovering = 12\n[log]\nend_sync_delay = \"7ms\"\nmax_group_bytes = "
      "\"1MiB\"\nmax_wal_bytes = \"2MiB\"\n"
      "write_buffer_bytes = \"3MiB\"\nblock_cache_bytes = \"4MiB\"\n"));
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->engine.default_timeout, absl::Seconds(5));
  EXPECT_EQ(config->engine.max_timeout, absl::Minutes(10));
  EXPECT_EQ(config->engine.max_open, 7u);
  EXPECT_EQ(config->engine.max_branches, 8u);
  EXPECT_EQ(config->engine.max_request_bytes, 1ull << 20);
  EXPECT_EQ(config->engine.max_reply_bytes, 3ull << 20);
  EXPECT_EQ(config->engine.max_stored_reply_bytes, 2ull << 20);
  EXPECT_EQ(config->engine.max_remembered, 9u);
  EXPECT_EQ(config->log.outcome_retention, absl::Hours(48));
  EXPECT_EQ(config->log.max_outcome_bytes, 1ull << 30);
  EXPECT_EQ(config->engine.sweep_interval, absl::Seconds(3));
  EXPECT_EQ(config->engine.first_retry, absl::Milliseconds(5));
  EXPECT_EQ(config->engine.last_retry, absl::Minutes(1));
  EXPECT_EQ(config->engine.max_recovering, 12u);
  EXPECT_EQ(config->log.end_sync_delay, absl::Milliseconds(7));
  EXPECT_EQ(config->log.max_group_bytes, 1ull << 20);
  EXPECT_EQ(config->log.max_wal_bytes, 2ull << 20);
  EXPECT_EQ(config->log.write_buffer_bytes, 3ull << 20);
  EXPECT_EQ(config->log.block_cache_bytes, 4ull << 20);
}

TEST(ConfigTest, ParticipantsOfBothTypesAreRead) {
  const auto config = Parse(
      "coordinator = \"orders\"\n[[participant]]\nname = \"db\"\ntype = \"postgres\"\nconninfo = \"dbname=a\"\n"
      "max_connections = 4\n[[participant]]\nname = \"events\"\ntype = \"kafka\"\n"
      "bootstrap_servers = [\"a:1\", \"b:2\"]\nmax_transactional_ids = 5\npartitioner = \"crc32\"\ncompression = "
      "\"lz4\"\n");
  ASSERT_TRUE(config.ok()) << config.status();
  ASSERT_EQ(config->participants.size(), 2u);
  const auto& postgres = std::get<postgres::PostgresOptions>(config->participants[0]);
  EXPECT_EQ(postgres.name, "db");
  EXPECT_EQ(postgres.conninfo, "dbname=a");
  EXPECT_EQ(postgres.max_connections, 4u);
  const auto& kafka = std::get<kafka::KafkaOptions>(config->participants[1]);
  EXPECT_EQ(kafka.name, "events");
  EXPECT_THAT(kafka.bootstrap_servers, ElementsAre("a:1", "b:2"));
  EXPECT_EQ(kafka.max_transactional_ids, 5);
  EXPECT_EQ(kafka.partitioner, "crc32");
  EXPECT_EQ(kafka.compression, "lz4");
}

TEST(ConfigTest, HalfOfTheCoresAreShardsWhereNoneAreAskedFor) {
  const auto config = Parse(Minimal());
  ASSERT_TRUE(config.ok());
  EXPECT_EQ(config->EngineOptionsFor(8).shards, 4u);
  EXPECT_EQ(config->EngineOptionsFor(1).shards, 1u);
}

constexpr char kDatabaseOfFour[] =
    "[[participant]]\nname = \"db\"\ntype = \"postgres\"\nconninfo = \"dbname=a\"\nmax_connections = 4\n";

TEST(ConfigTest, ThereAreNoMoreShardsThanTheParticipantsBear) {
  const auto config = Parse(Minimal("", kDatabaseOfFour));
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->EngineOptionsFor(64).shards, 2u);
  EXPECT_TRUE(Parse(Minimal("shards = 2\n", kDatabaseOfFour)).ok());
  EXPECT_THAT(Refusal(Minimal("shards = 3\n", kDatabaseOfFour)),
              HasSubstr("assentd.toml:2:10: \"shards\" is 3; expected at most 2, as participant \"db\""));
}

// A row of the table may point at the wrong field: every option of a PostgreSQL participant, read into its own.
TEST(ConfigTest, EveryOptionOfAPostgresParticipantIsRead) {
  const auto config = Parse(
      Minimal("",
              "[[participant]]\nname = \"db\"\ntype = \"postgres\"\nconninfo = \"dbname=a\"\nmax_connections = 20\n"
              "max_waiting_branches = 21\nmax_queued_operations = 22\nmax_prepared_statements = 23\n"
              "max_unanswered_finishes = 24\nmax_result_bytes = \"25KiB\"\nmax_parameter_bytes = \"26KiB\"\n"
              "max_statement_bytes = \"27KiB\"\nconnect_timeout = \"28s\"\nfirst_reconnect_delay = \"29s\"\n"
              "last_reconnect_delay = \"30s\"\nprepare_timeout = \"31s\"\nprepare_slot_timeout = \"32s\"\n"
              "finish_timeout = \"33s\"\nabort_patience = \"34s\"\n"));
  ASSERT_TRUE(config.ok()) << config.status();
  const auto& options = std::get<postgres::PostgresOptions>(config->participants[0]);
  EXPECT_EQ(options.max_connections, 20u);
  EXPECT_EQ(options.max_waiting_branches, 21u);
  EXPECT_EQ(options.max_queued_operations, 22u);
  EXPECT_EQ(options.max_prepared_statements, 23u);
  EXPECT_EQ(options.max_unanswered_finishes, 24u);
  EXPECT_EQ(options.max_result_bytes, 25u << 10);
  EXPECT_EQ(options.max_parameter_bytes, 26u << 10);
  EXPECT_EQ(options.max_statement_bytes, 27u << 10);
  EXPECT_EQ(options.connect_timeout, absl::Seconds(28));
  EXPECT_EQ(options.first_reconnect_delay, absl::Seconds(29));
  EXPECT_EQ(options.last_reconnect_delay, absl::Seconds(30));
  EXPECT_EQ(options.prepare_timeout, absl::Seconds(31));
  EXPECT_EQ(options.prepare_slot_timeout, absl::Seconds(32));
  EXPECT_EQ(options.finish_timeout, absl::Seconds(33));
  EXPECT_EQ(options.abort_patience, absl::Seconds(34));
}

TEST(ConfigTest, EveryOptionOfAKafkaParticipantIsRead) {
  const auto config = Parse("coordinator = \"orders\"\n" + std::string(kParticipant) +
                            "transactional_id_rest = \"41s\"\n"
                            "transaction_timeout = \"42s\"\n"
                            "max_branches = 43\n"
                            "max_branch_bytes = \"44MiB\"\n"
                            "max_buffered_bytes = \"45MiB\"\n"
                            "max_record_bytes = \"1046B\"\n"
                            "max_headers = 47\n"
                            "max_batch_bytes = \"1048B\"\n"
                            "max_queued_operations = 49\n"
                            "max_topics = 50\n"
                            "metadata_age = \"51s\"\n"
                            "unknown_topic_age = \"52s\"\n"
                            "connections_per_broker = 53\n"
                            "max_in_flight = 54\n"
                            "max_queued_requests = 55\n"
                            "max_response_bytes = \"56MiB\"\n"
                            "connect_timeout = \"57s\"\n"
                            "request_timeout = \"58s\"\n"
                            "finish_timeout = \"59s\"\n"
                            "first_backoff = \"60s\"\n"
                            "last_backoff = \"61s\"\n"
                            "first_reconnect = \"59s\"\n"
                            "last_reconnect = \"63s\"\n");
  ASSERT_TRUE(config.ok()) << config.status();
  const auto& options = std::get<kafka::KafkaOptions>(config->participants[0]);
  EXPECT_EQ(options.transactional_id_rest, absl::Seconds(41));
  EXPECT_EQ(options.transaction_timeout, absl::Seconds(42));
  EXPECT_EQ(options.max_branches, 43u);
  EXPECT_EQ(options.max_branch_bytes, 44ull << 20);
  EXPECT_EQ(options.max_buffered_bytes, 45ull << 20);
  EXPECT_EQ(options.max_record_bytes, 1046u);
  EXPECT_EQ(options.max_headers, 47u);
  EXPECT_EQ(options.max_batch_bytes, 1048u);
  EXPECT_EQ(options.max_queued_operations, 49u);
  EXPECT_EQ(options.max_topics, 50u);
  EXPECT_EQ(options.metadata_age, absl::Seconds(51));
  EXPECT_EQ(options.unknown_topic_age, absl::Seconds(52));
  EXPECT_EQ(options.connections_per_broker, 53);
  EXPECT_EQ(options.max_in_flight, 54u);
  EXPECT_EQ(options.max_queued_requests, 55u);
  EXPECT_EQ(options.max_response_bytes, 56ull << 20);
  EXPECT_EQ(options.connect_timeout, absl::Seconds(57));
  EXPECT_EQ(options.request_timeout, absl::Seconds(58));
  EXPECT_EQ(options.finish_timeout, absl::Seconds(59));
  EXPECT_EQ(options.first_backoff, absl::Seconds(60));
  EXPECT_EQ(options.last_backoff, absl::Seconds(61));
  EXPECT_EQ(options.first_reconnect, absl::Seconds(59));
  EXPECT_EQ(options.last_reconnect, absl::Seconds(63));
}

// ---- Refusals -------------------------------------------------------------------------------------------------------

TEST(ConfigTest, AnUnknownKeyIsRefusedWithItsPlaceAndTheNearestName) {
  const std::string refusal = Refusal(Minimal("", "[transactions]\nmax_opne = 3\n"));
  EXPECT_THAT(refusal, HasSubstr("assentd.toml:3:1: unknown key \"max_opne\" in [transactions]"));
  EXPECT_THAT(refusal, HasSubstr("did you mean \"max_open\"?"));
}

TEST(ConfigTest, AnEmptyListAndAnEmptySectionAreRefusedAsWhatTheyAre) {
  EXPECT_THAT(Refusal(Minimal("listen = []\n")), HasSubstr("\"listen\" is an empty list; expected a list of texts"));
  EXPECT_THAT(Refusal(Minimal("", "[tls]\n")), HasSubstr("both \"certificate\" and \"key\""));
}

TEST(ConfigTest, AConninfoThatLibpqCannotReadIsDescribedAndNotRepeated) {
  const auto refusal = [](const std::string& conninfo) {
    return Refusal("coordinator = \"orders\"\n[[participant]]\nname = \"a\"\ntype = \"postgres\"\nconninfo = \"" +
                   conninfo + "\"\n");
  };
  EXPECT_THAT(refusal(""), HasSubstr("\"conninfo\" is an empty text"));
  EXPECT_THAT(refusal("hostt=/tmp"), HasSubstr("an option that libpq does not know (did you mean \"host\"?)"));
  EXPECT_THAT(refusal("host"), HasSubstr("a text that libpq cannot read"));
  for (const std::string secret : {"password=two tigers=7", "password=two tigers"}) {
    EXPECT_THAT(refusal(secret), AllOf(HasSubstr("conninfo"), Not(HasSubstr("tigers"))));
  }
}

TEST(ConfigTest, EveryKafkaSecurityOptionIsRead) {
  const auto config = Parse(
      "coordinator = \"orders\"\n[[participant]]\nname = \"events\"\ntype = \"kafka\"\nbootstrap_servers = [\"a:1\"]\n"
      "tls = true\ntls_ca = \"ca\"\ntls_certificate = \"crt\"\ntls_key = \"key\"\nsasl_mechanism = \"SCRAM-SHA-256\"\n"
      "sasl_user = \"alice\"\nsasl_password_file = \"file\"\nsasl_password_env = \"VARIABLE\"\n");
  ASSERT_TRUE(config.ok()) << config.status();
  const auto& options = std::get<kafka::KafkaOptions>(config->participants[0]);
  EXPECT_TRUE(options.tls);
  EXPECT_EQ(options.tls_ca, "ca");
  EXPECT_EQ(options.tls_certificate, "crt");
  EXPECT_EQ(options.tls_key, "key");
  EXPECT_EQ(options.sasl_mechanism, "SCRAM-SHA-256");
  EXPECT_EQ(options.sasl_user, "alice");
  EXPECT_EQ(options.sasl_password_file, "file");
  EXPECT_EQ(options.sasl_password_env, "VARIABLE");
}

TEST(ConfigTest, ANameThatNoPartitionerOrCompressionHasIsRefusedWithThoseThatThereAre) {
  const std::string events = "[[participant]]\nname = \"e\"\ntype = \"kafka\"\nbootstrap_servers = [\"a:1\"]\n";
  EXPECT_THAT(Refusal(Minimal("", events + "compression = \"lzo\"\n")),
              HasSubstr("\"compression\" is \"lzo\"; expected a text in quotes: none, gzip, snappy, lz4 or zstd"));
  EXPECT_THAT(Refusal(Minimal("", events + "partitioner = \"md5\"\n")), HasSubstr("murmur2 or crc32"));
}

// Both would use the transactional ids of this coordinator, from the first on.
TEST(ConfigTest, TwoParticipantsOfOneKafkaClusterAreRefused) {
  const auto second = [](const std::string& servers) {
    return Minimal("", "[[participant]]\nname = \"audit\"\ntype = \"kafka\"\nbootstrap_servers = " + servers + "\n");
  };
  EXPECT_THAT(
      Refusal(second("[\"a:9092\", \"b:9092\"]")),
      AllOf(HasSubstr("assentd.toml:9:21: \"bootstrap_servers\" of participant \"events\" name b:9092, as those "
                      "of participant \"audit\" do"),
            HasSubstr("expected one participant for a Kafka cluster")));
  EXPECT_TRUE(Parse(second("[\"a:9092\"]")).ok()) << "another cluster";
}

TEST(ConfigTest, AnUnknownSectionIsRefused) {
  const std::string refusal = Refusal(Minimal("", "[transaction]\nmax_open = 3\n"));
  EXPECT_THAT(refusal, HasSubstr("assentd.toml:2:2: unknown key \"transaction\" in the top level"));
  EXPECT_THAT(refusal, HasSubstr("did you mean \"transactions\"?"));
}

TEST(ConfigTest, AFarNameIsNotGuessedAtButTheKnownOnesAreListed) {
  const std::string refusal = Refusal(Minimal("zebra = 1\n"));
  EXPECT_THAT(refusal, Not(HasSubstr("did you mean")));
  EXPECT_THAT(refusal, HasSubstr("Expected one of: "));
  EXPECT_THAT(refusal, HasSubstr("data_dir"));
}

TEST(ConfigTest, AValueOfTheWrongTypeIsRefusedWithWhatWasExpected) {
  EXPECT_THAT(Refusal(Minimal("shards = \"two\"\n")),
              HasSubstr("assentd.toml:2:10: \"shards\" is \"two\"; expected a whole number, from 0 to 256"));
  EXPECT_THAT(Refusal(Minimal("insecure = 1\n")), HasSubstr("\"insecure\" is 1; expected true or false"));
  EXPECT_THAT(Refusal(Minimal("data_dir = 1.5\n")), HasSubstr("\"data_dir\" is 1.5; expected a text in quotes"));
  EXPECT_THAT(Refusal(Minimal("listen = \"127.0.0.1:7411\"\n")), HasSubstr("expected a list of texts in quotes"));
}

TEST(ConfigTest, ANumberOutOfItsBoundsIsRefused) {
  EXPECT_THAT(Refusal(Minimal("shards = 257\n")),
              HasSubstr("\"shards\" is 257; expected a whole number, from 0 to 256"));
  EXPECT_THAT(Refusal(Minimal("shards = -1\n")), HasSubstr("\"shards\" is -1"));
  EXPECT_THAT(Refusal(Minimal("", "[transactions]\nmax_open = 0\n")), HasSubstr("\"max_open\" is 0"));
}

TEST(ConfigTest, ABadDurationIsRefused) {
  const auto refusal = [](const std::string& value) {
    return Refusal(Minimal("", absl::StrCat("[transactions]\ndefault_timeout = ", value, "\n")));
  };
  EXPECT_THAT(refusal("\"30 seconds\""),
              HasSubstr("assentd.toml:3:19: \"default_timeout\" is \"30 seconds\"; expected a "
                        "duration in quotes, such as \"500ms\", \"30s\" or \"24h\""));
  EXPECT_THAT(refusal("30"), HasSubstr("\"default_timeout\" is 30; expected a duration"));
  EXPECT_THAT(refusal("\"-1s\""), HasSubstr("\"default_timeout\" is \"-1s\""));
  EXPECT_THAT(refusal("\"inf\""), HasSubstr("\"default_timeout\" is \"inf\""));
  EXPECT_THAT(refusal("\"0s\""), HasSubstr("from 1ms to 168h"));
}

TEST(ConfigTest, ABadSizeIsRefused) {
  const auto refusal = [](const std::string& value) {
    return Refusal(Minimal("", absl::StrCat("[transactions]\nmax_outcome_bytes = ", value, "\n")));
  };
  EXPECT_THAT(refusal("\"10GB\""), HasSubstr("\"max_outcome_bytes\" is \"10GB\"; expected a size in quotes"));
  EXPECT_THAT(refusal("\"1.5GiB\""), HasSubstr("expected a size"));
  EXPECT_THAT(refusal("\"99999999999TiB\""), HasSubstr("expected a size"));
  EXPECT_THAT(refusal("\"1KiB\""), HasSubstr("at least 1MiB"));
}

TEST(ConfigTest, ATextThatTheOptionDoesNotTakeIsRefused) {
  EXPECT_THAT(Refusal(Minimal("log_level = \"loud\"\n")), HasSubstr("expected a text in quotes: trace, debug, info"));
  EXPECT_THAT(
      Refusal("coordinator = \"Or-ders\"\n" + std::string(kParticipant)),
      HasSubstr("assentd.toml:1:15: \"coordinator\" is \"Or-ders\"; expected a text in quotes: 1 to 32 of a-z"));
}

TEST(ConfigTest, AMissingCoordinatorNameIsRefused) {
  EXPECT_THAT(Refusal(kParticipant), HasSubstr("the top level lacks \"coordinator\""));
}

TEST(ConfigTest, AMissingParticipantIsRefused) {
  EXPECT_THAT(Refusal("coordinator = \"orders\"\n"), HasSubstr("expected at least one [[participant]] section"));
  EXPECT_THAT(Refusal("coordinator = \"orders\"\n[participant]\nname = \"x\"\n"),
              HasSubstr("assentd.toml:2:1: no participant"));
}

TEST(ConfigTest, AParticipantThatLacksAnOptionIsRefused) {
  EXPECT_THAT(Refusal("coordinator = \"orders\"\n[[participant]]\nname = \"db\"\ntype = \"postgres\"\n"),
              HasSubstr("assentd.toml:2:1: [[participant]] lacks \"conninfo\": expected "));
  EXPECT_THAT(Refusal("coordinator = \"orders\"\n[[participant]]\nname = \"db\"\n"),
              HasSubstr("assentd.toml:2:1: [[participant]] lacks \"type\": expected \"postgres\" or \"kafka\""));
}

TEST(ConfigTest, AParticipantOfAnUnknownTypeIsRefused) {
  EXPECT_THAT(Refusal("coordinator = \"orders\"\n[[participant]]\nname = \"db\"\ntype = \"oracle\"\n"),
              HasSubstr("assentd.toml:4:8: \"type\" is \"oracle\"; expected \"postgres\" or \"kafka\""));
}

TEST(ConfigTest, AnOptionOfTheOtherTypeIsRefused) {
  EXPECT_THAT(Refusal(Minimal("",
                              "[[participant]]\nname = \"db\"\ntype = \"postgres\"\nconninfo = \"dbname=a\"\n"
                              "bootstrap_servers = [\"a:1\"]\n")),
              HasSubstr("assentd.toml:6:1: unknown key \"bootstrap_servers\" in [[participant]]"));
}

TEST(ConfigTest, TwoParticipantsOfOneNameAreRefused) {
  EXPECT_THAT(Refusal(Minimal("", kParticipant)), HasSubstr("assentd.toml:7:8: two participants are named \"events\""));
}

TEST(ConfigTest, BrokenTomlIsRefusedWithItsPlace) {
  EXPECT_THAT(Refusal("coordinator = \n"), HasSubstr("assentd.toml:1:"));
}

TEST(ConfigTest, EveryMistakeIsToldAtOnceInOrderOfTheFile) {
  const std::string refusal =
      Refusal(Minimal("shards = 999\nlog_level = \"loud\"\n", "[transactions]\nmax_open = 0\n"));
  EXPECT_LT(refusal.find("\"shards\""), refusal.find("\"log_level\""));
  EXPECT_LT(refusal.find("\"log_level\""), refusal.find("\"max_open\""));
  EXPECT_THAT(refusal, HasSubstr("\"max_open\""));
}

TEST(ConfigTest, ADefaultTimeoutOverTheLongestIsRefused) {
  EXPECT_THAT(Refusal(Minimal("", "[transactions]\nmax_timeout = \"10s\"\n")),
              HasSubstr("\"default_timeout\" is 30s; expected at most \"max_timeout\", which is 10s"));
}

TEST(ConfigTest, ARetentionThatATransactionMayOutliveIsRefused) {
  EXPECT_THAT(
      Refusal(Minimal("", "[transactions]\noutcome_retention = \"10m\"\n")),
      HasSubstr("assentd.toml:3:21: \"outcome_retention\" is 10m; expected at least \"max_timeout\", which is 1h"));
  EXPECT_TRUE(Parse(Minimal("", "[transactions]\noutcome_retention = \"1h\"\n")).ok());
}

// ---- Who may reach it -----------------------------------------------------------------------------------------------

TEST(ConfigTest, AnAddressThatOthersReachNeedsTlsOrTheWord) {
  const std::string listen = "listen = [\"0.0.0.0:7411\"]\n";
  EXPECT_THAT(Refusal(Minimal(listen)),
              HasSubstr("assentd.toml:2:10: \"0.0.0.0:7411\" can be reached from other machines"));
  EXPECT_TRUE(Parse(Minimal(listen + "insecure = true\n")).ok());
  EXPECT_TRUE(Parse(Minimal(listen, "[tls]\ncertificate = \"c\"\nkey = \"k\"\n")).ok());
}

TEST(ConfigTest, LoopbackAndUnixSocketsNeedNoTls) {
  EXPECT_TRUE(Parse(Minimal("listen = [\"127.0.0.1:0\", \"[::1]:7411\", \"localhost:1\", \"unix:/tmp/a\"]\n")).ok());
}

TEST(ConfigTest, WhatIsNoAddressIsRefused) {
  for (const char* text : {"7411", "127.0.0.1", "127.0.0.1:70000", "unix:relative", "[127.0.0.1]:1", "a b:1", ":1"}) {
    EXPECT_THAT(Refusal(Minimal(absl::StrCat("listen = [\"", text, "\"]\n"))),
                HasSubstr("each host:port, [IPv6 address]:port or unix:/absolute/path"));
  }
}

TEST(ConfigTest, HalfATlsSectionIsRefused) {
  EXPECT_THAT(Refusal(Minimal("", "[tls]\ncertificate = \"c\"\n")), HasSubstr("both \"certificate\" and \"key\""));
  EXPECT_THAT(Refusal(Minimal("", "[tls]\nclient_ca = \"c\"\n")), HasSubstr("both \"certificate\" and \"key\""));
}

TEST(ConfigTest, InsecureBesideTlsIsRefused) {
  EXPECT_THAT(Refusal(Minimal("insecure = true\n", "[tls]\ncertificate = \"c\"\nkey = \"k\"\n")),
              HasSubstr("\"insecure\" is true beside [tls]"));
}

// ---- Secrets --------------------------------------------------------------------------------------------------------

TEST(ConfigTest, APasswordInAConninfoIsWarnedOfAndNotRepeated) {
  const auto config = Parse(Minimal("",
                                    "[[participant]]\nname = \"db\"\ntype = \"postgres\"\n"
                                    "conninfo = \"postgresql://assent:geheim@host/orders\"\n"));
  ASSERT_TRUE(config.ok()) << config.status();
  ASSERT_EQ(config->warnings.size(), 1u);
  EXPECT_THAT(config->warnings[0], HasSubstr("assentd.toml:5:12: the conninfo of participant \"db\" holds a password"));
  EXPECT_THAT(config->warnings[0], Not(HasSubstr("geheim")));
}

TEST(ConfigTest, ARefusedConninfoIsNotRepeated) {
  const std::string refusal = Refusal(
      Minimal("", "[[participant]]\nname = \"db\"\ntype = \"postgres\"\nconninfo = \"password=geheim dbnme=a\"\n"));
  EXPECT_THAT(refusal, HasSubstr("assentd.toml:5:12: \"conninfo\""));
  EXPECT_THAT(refusal, Not(HasSubstr("geheim")));
}

// ---- Flags ----------------------------------------------------------------------------------------------------------

TEST(ConfigTest, FlagsWinOverTheFile) {
  ConfigFlags flags;
  flags.listen = {"127.0.0.1:0"};
  flags.data_dir = "/elsewhere";
  flags.log_level = "error";
  flags.adopt = true;
  const auto config = Parse(Minimal("data_dir = \"/data\"\nlog_level = \"debug\"\n"), flags);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_THAT(config->listen, ElementsAre("127.0.0.1:0"));
  EXPECT_EQ(config->data_dir, "/elsewhere");
  EXPECT_EQ(config->log_level, "error");
  EXPECT_TRUE(config->engine.adopt);
}

TEST(ConfigTest, FlagsAreCheckedLikeTheFile) {
  ConfigFlags flags;
  flags.listen = {"0.0.0.0:7411"};
  EXPECT_THAT(Refusal(Minimal(), flags), HasSubstr("--listen: \"0.0.0.0:7411\" can be reached from other machines"));
  flags.listen = {"nowhere"};
  EXPECT_THAT(Refusal(Minimal(), flags), HasSubstr("--listen: \"nowhere\"; expected each host:port"));
  flags.listen.clear();
  flags.log_level = "loud";
  EXPECT_THAT(Refusal(Minimal(), flags), HasSubstr("--log-level: \"loud\"; expected trace"));
}

TEST(ConfigTest, AFileThatIsNotThereIsNamed) {
  const auto config = ReadConfigFile("/nonexistent/assentd.toml", {});
  EXPECT_EQ(config.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(config.status().message()), HasSubstr("/nonexistent/assentd.toml"));
}

}  // namespace
}  // namespace assent
