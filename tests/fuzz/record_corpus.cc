// Records what a real Kafka broker answers, as inputs of the fuzz targets: record_corpus FOLDER NAME (see README.md
// here). The broker is one of its own, by the Java and the jars that the environment names.
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "participants/kafka/wire/offset_messages.h"
#include "participants/kafka/wire/producer_messages.h"
#include "participants/kafka/wire/record_batch.h"
#include "tests/fuzz/kafka_messages.h"
#include "tests/participants/kafka/own_kafka.h"

namespace assent::kafka {
namespace {

using boost::asio::ip::tcp;

constexpr char kTransactionalId[] = "assent-orders-5f0cab12d3e4f567-17";

class Recorder {
 public:
  Recorder(std::filesystem::path folder, std::string name) : folder_(std::move(folder)), name_(std::move(name)) {
    std::filesystem::create_directories(folder_ / "kafka_responses_fuzz");
    std::filesystem::create_directories(folder_ / "kafka_connection_fuzz");
  }

  // What follows goes over a new connection, and is one script for kafka_connection_fuzz.
  void Begin(const std::string& server, bool by_sasl) {
    socket_ = tcp::socket(loop_);
    const auto port = static_cast<std::uint16_t>(std::stoi(server.substr(server.find(':') + 1)));
    socket_.connect({boost::asio::ip::address_v4::loopback(), port});
    by_sasl_ = by_sasl;
    keys_.clear();
    steps_.clear();
    Ask("greeting", wire::ApiVersionsRequest{.software_name = "assent", .software_version = "0.1.0"});
  }

  // Asks, and keeps the answer. `greets`: Connection makes this request by itself.
  template <typename Request>
  typename Request::Response Ask(const std::string& what, const Request& request) {
    return Keep<Request>(what, wire::VersionOf(request), wire::EncodeFrame(request, 1, "assent"));
  }

  // The same, of a version that the broker does not have.
  template <typename Request>
  void AskInVersion(std::int8_t version, const std::string& what, const Request& request) {
    std::string frame = wire::EncodeFrame(request, 1, "assent");
    frame[7] = static_cast<char>(version);
    Keep<Request>(what, version, frame);
  }

  void End(const std::string& what) {
    std::string script = {by_sasl_ ? '\1' : '\0', static_cast<char>(keys_.size())};
    script += keys_ + steps_;
    Write("kafka_connection_fuzz", what, script);
  }

 private:
  template <typename Request>
  typename Request::Response Keep(const std::string& what, std::int16_t version, const std::string& frame) {
    const std::string body = Exchange(frame);
    const auto key = static_cast<char>(Request::kKey);
    Write("kafka_responses_fuzz", std::string(wire::Name(Request::kKey)) + "-" + what,
          std::string{key, static_cast<char>(version)} + body);
    wire::Encoder step;
    step.Int8(0);
    step.Int16(static_cast<std::int16_t>(body.size()));
    step.Raw(body);
    steps_ += step.bytes();
    const bool connection_asks_itself = Request::kKey == wire::ApiKey::kApiVersions ||
                                        Request::kKey == wire::ApiKey::kSaslHandshake ||
                                        Request::kKey == wire::ApiKey::kSaslAuthenticate;
    if (!connection_asks_itself) keys_ += key;
    auto answer = wire::DecodeAnswer<Request>(body, version);
    if (!answer.ok()) {
      std::cerr << what << ": " << answer.status() << "\n";
      std::exit(1);
    }
    return *std::move(answer);
  }

  std::string Exchange(const std::string& frame) {
    boost::asio::write(socket_, boost::asio::buffer(frame));
    std::string head(4, '\0');
    boost::asio::read(socket_, boost::asio::buffer(head));
    std::string answer(static_cast<std::size_t>(wire::Decoder(head).Int32()), '\0');
    boost::asio::read(socket_, boost::asio::buffer(answer));
    return answer.substr(4);
  }

  void Write(const std::string& target, const std::string& what, const std::string& bytes) {
    std::ofstream(folder_ / target / (name_ + "-" + what), std::ios::binary) << bytes;
  }

  const std::filesystem::path folder_;
  const std::string name_;
  boost::asio::io_context loop_;
  tcp::socket socket_{loop_};
  bool by_sasl_ = false;
  std::string keys_;
  std::string steps_;
};

std::string Batch(const wire::InitProducerIdResponse& producer, std::int32_t base_sequence) {
  wire::RecordBatchBuilder builder;
  builder.Add({.key = "42", .value = "tea"});
  return builder.Finish(producer.producer_id, producer.epoch, base_sequence);
}

void RecordCluster(Recorder& recorder, const std::string& server) {
  recorder.Begin(server, false);
  recorder.Ask("brokers", wire::MetadataRequest());
  recorder.Ask("topics", wire::MetadataRequest{.topics = {"orders", "nowhere"}});
  recorder.Ask("id", wire::FindCoordinatorRequest{.transactional_id = kTransactionalId});
  const std::string setting = "transaction.max.timeout.ms";
  recorder.Ask("setting", wire::DescribeConfigsRequest{.broker = 1, .setting = setting});
  recorder.Ask("no-broker", wire::DescribeConfigsRequest{.broker = 7, .setting = setting});
  recorder.End("cluster");
  recorder.Begin(server, false);
  recorder.AskInVersion(99, "too-new", wire::ApiVersionsRequest());
}

// Transactions V2 where the broker has them.
void RecordTransaction(Recorder& recorder, const std::string& server, bool is_v2) {
  const std::string id = kTransactionalId;
  wire::InitProducerIdResponse producer{.error_code = -1};
  // The coordinator may need a moment to load what it keeps.
  while (producer.error_code != 0) {
    recorder.Begin(server, false);
    producer =
        recorder.Ask("first", wire::InitProducerIdRequest{.transactional_id = id, .transaction_timeout_ms = 60'000});
  }
  const auto add = [&](const std::string& topic) {
    return wire::AddPartitionsToTxnRequest{.transactional_id = id,
                                           .producer_id = producer.producer_id,
                                           .epoch = producer.epoch,
                                           .topics = {{topic, {0, 1}}}};
  };
  if (!is_v2) recorder.Ask("added", add("orders"));
  recorder.Ask("refused", add("nowhere"));
  const std::string first = Batch(producer, 0);
  wire::ProduceRequest produce{.version = is_v2 ? wire::ProduceRequest::kV2 : wire::ProduceRequest::kV1,
                               .transactional_id = id,
                               .timeout_ms = 5000,
                               .partitions = {{"orders", 0, first}, {"orders", 1, first}}};
  recorder.Ask("two", produce);
  const std::string gap = Batch(producer, 99);
  produce.partitions = {{"orders", 0, gap}, {"nowhere", 0, gap}};
  recorder.Ask("refused", produce);
  recorder.Ask("ongoing", wire::DescribeTransactionsRequest{.transactional_id = id});
  recorder.Ask("all", wire::ListTransactionsRequest());
  recorder.Ask("open", wire::DescribeProducersRequest{.topics = {{"nowhere", {0}}, {"orders", {0, 1}}}});
  recorder.Ask("stable",
               wire::ListOffsetsRequest{.read_committed = true, .topics = {{"nowhere", {0}}, {"orders", {0, 1}}}});
  wire::EndTxnRequest end{.version = is_v2 ? wire::EndTxnRequest::kV2 : wire::EndTxnRequest::kV1,
                          .transactional_id = id,
                          .producer_id = producer.producer_id,
                          .epoch = producer.epoch,
                          .commit = true};
  recorder.Ask("committed", end);
  end.epoch = 999;
  recorder.Ask("fenced", end);
  recorder.Ask("unknown", wire::DescribeTransactionsRequest{.transactional_id = "nobody"});
  recorder.End("transaction");
}

void RecordSasl(Recorder& recorder, const std::string& server) {
  using std::string_literals::operator""s;
  recorder.Begin(server, true);
  recorder.Ask("plain", wire::SaslHandshakeRequest{.mechanism = "PLAIN"});
  recorder.Ask("right", wire::SaslAuthenticateRequest{.bytes = "\0alice\0wonder-land"s});
  recorder.Ask("known", wire::MetadataRequest());
  recorder.End("sasl");
  recorder.Begin(server, true);
  recorder.Ask("plain", wire::SaslHandshakeRequest{.mechanism = "PLAIN"});
  recorder.Ask("wrong", wire::SaslAuthenticateRequest{.bytes = "\0alice\0looking-glass"s});
  recorder.End("sasl-wrong");
  recorder.Begin(server, true);
  recorder.Ask("other", wire::SaslHandshakeRequest{.mechanism = "OTHER"});
}

int Main(const std::string& folder, const std::string& name) {
  OwnKafkaOptions options;
  options.listeners = {{"CLEAR", "SASL_PLAINTEXT"}};
  options.settings = {
      "listener.name.clear.sasl.enabled.mechanisms=PLAIN",
      "listener.name.clear.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required "
      "user_alice=\"wonder-land\";",
      "listener.name.clear.connections.max.reauth.ms=3600000"};
  const OwnKafka kafka(options);
  if (!kafka.failure().empty()) {
    std::cerr << kafka.failure() << "\n";
    return 1;
  }
  const std::string admin = ADMIN " " + kafka.bootstrap_server();
  if (std::system((admin + " ready").c_str()) != 0) return 1;
  if (std::system((admin + " create-topic orders 2").c_str()) != 0) return 1;
  Recorder recorder(folder, name);
  RecordCluster(recorder, kafka.bootstrap_server());
  RecordTransaction(recorder, kafka.bootstrap_server(), name[0] >= '4');
  RecordSasl(recorder, kafka.bootstrap_server("CLEAR"));
  return 0;
}

}  // namespace
}  // namespace assent::kafka

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "Usage: record_corpus FOLDER VERSION-OF-KAFKA\n";
    return 2;
  }
  return assent::kafka::Main(argv[1], argv[2]);
}
