#include "tests/participants/kafka/own_kafka.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>
#include <vector>

#include "participants/kafka/wire/api.h"
#include "participants/kafka/wire/cluster_messages.h"
#include "tests/participants/kafka/plain_kafka.h"

namespace assent::kafka {
namespace {

constexpr std::chrono::seconds kPatience(60);

std::uint16_t FreePort() {
  using boost::asio::ip::tcp;
  boost::asio::io_context loop;
  tcp::acceptor acceptor(loop, {boost::asio::ip::address_v4::loopback(), 0});
  return acceptor.local_endpoint().port();
}

}  // namespace

OwnKafka::OwnKafka(OwnKafkaOptions options) : options_(std::move(options)) {
  const char* const java = std::getenv("ASSENT_TEST_JAVA");
  const char* const libraries = std::getenv("ASSENT_TEST_KAFKA_LIBS");
  if (java == nullptr || libraries == nullptr) {
    failure_ = "ASSENT_TEST_JAVA and ASSENT_TEST_KAFKA_LIBS are not set: where Java and Kafka's jars are";
    return;
  }
  java_ = java;
  libraries_ = libraries;
  std::string folder = (std::filesystem::temp_directory_path() / "assent-own-kafka-XXXXXX").string();
  folder_ = mkdtemp(folder.data());
  ports_["PLAINTEXT"] = FreePort();
  for (const OwnListener& listener : options_.listeners) ports_[listener.name] = FreePort();
  quorum_ = options_.quorum;
  if (quorum_.empty()) quorum_[options_.node] = FreePort();
  WriteConfiguration();
  int status = 0;
  std::string format = "format -t AssentOwnKafkaForTests";
  for (const std::string& user : options_.scram_users) format += " --add-scram " + user;
  const pid_t formatting = Spawn("kafka.tools.StorageTool", format + " -c");
  waitpid(formatting, &status, 0);
  if (status != 0) {
    failure_ = "the storage of a broker could not be formatted: see " + folder_;
    return;
  }
  if (options_.starts) Start();
}

OwnKafka::~OwnKafka() {
  Stop();
  if (failure_.empty() && !folder_.empty()) std::filesystem::remove_all(folder_);
}

void OwnKafka::WriteConfiguration() {
  std::string listeners = "PLAINTEXT://" + bootstrap_server();
  std::string protocols;
  for (const OwnListener& listener : options_.listeners) {
    listeners += "," + listener.name + "://" + bootstrap_server(listener.name);
    protocols += "," + listener.name + ":" + listener.protocol;
  }
  std::ofstream out(folder_ + "/server.properties");
  std::string voters;
  for (const auto& [node, port] : quorum_) {
    voters += (voters.empty() ? "" : ",") + std::to_string(node) + "@127.0.0.1:" + std::to_string(port);
  }
  out << "process.roles=broker,controller\nnode.id=" << options_.node << "\n"
      << "controller.quorum.voters=" << voters << "\n"
      << "listeners=" << listeners << ",CONTROLLER://127.0.0.1:" << quorum_.at(options_.node) << "\n"
      << "advertised.listeners=" << listeners << "\n"
      << "controller.listener.names=CONTROLLER\ninter.broker.listener.name=PLAINTEXT\n"
      << "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT" << protocols << "\n"
      << "log.dirs=" << folder_ << "/data\n"
      << "auto.create.topics.enable=false\n"
      << "offsets.topic.replication.factor=1\noffsets.topic.num.partitions=1\n"
      << "transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n"
      << "transaction.state.log.num.partitions=4\n"
      << "transaction.max.timeout.ms=2147483647\n"
      << "group.initial.rebalance.delay.ms=0\n"
      // After a crash a controller believes in the broker's last session for this long.
      << "broker.session.timeout.ms=3000\nbroker.heartbeat.interval.ms=300\n";
  for (const std::string& setting : options_.settings) out << setting << "\n";
}

pid_t OwnKafka::Spawn(const std::string& main_class, const std::string& arguments) const {
  // The last two: it lives for seconds, and is started often.
  std::vector<std::string> words = {
      java_,     "-Xms64m", "-Xmx256m", "-cp", libraries_ + "/*", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
      main_class};
  std::istringstream split(arguments);
  for (std::string word; split >> word;) words.push_back(word);
  words.push_back(folder_ + "/server.properties");
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const std::string log = folder_ + "/kafka.log";
  const pid_t pid = fork();
  if (pid != 0) return pid;
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // it does not outlive the test
  const int out = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  dup2(out, 1);
  dup2(out, 2);
  execv(argv[0], argv.data());
  _exit(127);
}

bool OwnKafka::Answers() const {
  using boost::asio::ip::tcp;
  boost::asio::io_context loop;
  tcp::socket socket(loop);
  boost::system::error_code error;
  socket.connect({boost::asio::ip::address_v4::loopback(), ports_.at("PLAINTEXT")}, error);
  return !error;
}

void OwnKafka::Launch() { pid_ = Spawn("kafka.Kafka", ""); }

void OwnKafka::AwaitAnswer() {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (!Answers()) {
    if (std::chrono::steady_clock::now() > end || waitpid(pid_, nullptr, WNOHANG) == pid_) {
      failure_ = "a broker did not start: see " + folder_ + "/kafka.log";
      return;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

// Each waits for the others when it starts.
OwnCluster::OwnCluster(const std::vector<std::string>& settings) {
  std::map<int, std::uint16_t> quorum;
  for (int node = 1; node <= 3; ++node) quorum[node] = FreePort();
  for (const auto& [node, port] : quorum) {
    nodes_[node] = std::make_unique<OwnKafka>(
        OwnKafkaOptions{.settings = settings, .node = node, .quorum = quorum, .starts = false});
  }
  if (!failure().empty()) return;
  for (const auto& [number, node] : nodes_) node->Launch();
  for (const auto& [number, node] : nodes_) node->AwaitAnswer();
}

std::string OwnCluster::failure() const {
  std::string failures;
  for (const auto& [number, node] : nodes_) failures += node->failure();
  return failures;
}

std::vector<std::string> OwnCluster::bootstrap_servers() const {
  std::vector<std::string> servers;
  for (const auto& [number, node] : nodes_) servers.push_back(node->bootstrap_server());
  return servers;
}

void OwnKafka::Stop() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

void OwnKafka::Freeze() { kill(pid_, SIGSTOP); }

void OwnKafka::Thaw() { kill(pid_, SIGCONT); }

}  // namespace assent::kafka
