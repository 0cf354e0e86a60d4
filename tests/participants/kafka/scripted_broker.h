#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "participants/kafka/wire/api.h"
#include "participants/kafka/wire/decoder.h"
#include "participants/kafka/wire/encoder.h"

namespace assent::kafka {

// A TCP server that answers Kafka frames as a test tells it. What the test says nothing about is answered as by a
// broker where everything succeeds. It runs on the loop of the participant under test, so a test sees every step in
// order.
class ScriptedBroker {
 public:
  struct Request {
    wire::ApiKey key;
    std::int16_t version = 0;
    std::string body;
  };

  // What becomes of a request.
  struct Reply {
    enum class Kind { kAnswer, kSilence, kHangUp, kRaw } kind = Kind::kAnswer;
    std::string bytes;  // the body of the response; of kRaw: everything, as it goes out
  };
  static Reply Silence() { return {.kind = Reply::Kind::kSilence}; }
  static Reply HangUp() { return {.kind = Reply::Kind::kHangUp}; }
  static Reply Raw(std::string bytes) { return {.kind = Reply::Kind::kRaw, .bytes = std::move(bytes)}; }

  using Script = std::function<Reply(const Request&)>;

  explicit ScriptedBroker(boost::asio::io_context& loop, std::int32_t node = 1);
  ~ScriptedBroker() { Stop(); }

  // Says how every request of a kind is answered from now on, or only the next ones.
  void Always(wire::ApiKey key, Script script) { always_[key] = std::move(script); }
  void Next(wire::ApiKey key, Script script) { next_[key].push_back(std::move(script)); }

  // The usual answers, with an error code where a kind of request has one.
  Script Answering(wire::ApiKey key, std::int16_t error_code = 0) const;
  Reply Succeed(const Request& request, std::int16_t error_code = 0) const;

  // A broker that is down: refuses connections, and those that it had have ended.
  void Stop();
  void Restart();

  // Every request of a kind so far, in order.
  std::vector<Request> Requests(wire::ApiKey key) const;
  std::size_t Count(wire::ApiKey key) const { return Requests(key).size(); }

  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  std::uint16_t port() const { return port_; }
  std::int32_t node() const { return node_; }

  // What the usual answers say.
  struct Node {
    std::int32_t id;
    std::uint16_t port;
  };
  std::vector<Node> nodes;                                                    // this one
  std::map<std::string, std::vector<std::int32_t>> topics = {{"t", {1, 1}}};  // leaders of the partitions
  std::set<std::string> internal_topics;
  std::int16_t transaction_version = 2;
  std::int16_t least_produce = 0;  // version
  std::int32_t coordinator = 1;
  std::string described_state = "Ongoing";
  std::int16_t described_error = 0;
  std::int16_t described_epoch = 7;
  std::vector<std::pair<std::string, std::int32_t>> described_partitions;
  std::vector<std::string> listed;                   // transactional ids
  std::map<std::string, std::string> listed_states;  // of those that are not in CompleteCommit
  struct OpenTransaction {
    std::int32_t epoch;
    std::int64_t from_offset;
  };
  // Of the broker's one producer id, by topic and partition, as the partitions' leaders see them.
  std::map<std::pair<std::string, std::int32_t>, OpenTransaction> open_transactions;
  std::int64_t producer_id = 4000;
  struct Ends {
    std::int64_t last_stable_offset;
    std::int64_t high_watermark;
  };
  std::map<std::pair<std::string, std::int32_t>, Ends> ends;  // of partitions that are not empty

 private:
  struct Peer;

  void Listen();
  void Accept();
  void Read(const std::shared_ptr<Peer>& peer);
  void Serve(const std::shared_ptr<Peer>& peer, std::string_view frame);

  boost::asio::io_context& loop_;
  const std::int32_t node_;
  std::uint16_t port_ = 0;
  std::unique_ptr<boost::asio::ip::tcp::acceptor> acceptor_;
  std::vector<std::weak_ptr<Peer>> peers_;
  std::map<wire::ApiKey, Script> always_;
  std::map<wire::ApiKey, std::deque<Script>> next_;
  std::vector<Request> requests_;
  mutable std::map<std::string, std::int16_t> epochs_;
};

// The requests that tests look into.
struct SeenProduce {
  struct Partition {
    std::string topic;
    std::int32_t index;
    std::string batch;
  };
  std::string transactional_id;
  std::int16_t acks = 0;
  std::vector<Partition> partitions;
};
SeenProduce ReadProduce(const ScriptedBroker::Request& request);

struct SeenAddPartitions {
  std::string transactional_id;
  std::int64_t producer_id = 0;
  std::int16_t epoch = 0;
  std::map<std::string, std::vector<std::int32_t>> topics;
};
SeenAddPartitions ReadAddPartitions(const ScriptedBroker::Request& request);

// The partitions that are asked about.
std::vector<std::pair<std::string, std::int32_t>> ReadDescribeProducers(const ScriptedBroker::Request& request);

struct SeenListOffsets {
  bool read_committed = false;
  std::vector<std::pair<std::string, std::int32_t>> partitions;
};
SeenListOffsets ReadListOffsets(const ScriptedBroker::Request& request);

struct SeenEndTxn {
  std::int16_t version = 0;
  std::string transactional_id;
  std::int64_t producer_id = 0;
  std::int16_t epoch = 0;
  bool commit = false;
};
SeenEndTxn ReadEndTxn(const ScriptedBroker::Request& request);

struct SeenInitProducerId {
  std::string transactional_id;
  std::int32_t timeout_ms = 0;
};
SeenInitProducerId ReadInitProducerId(const ScriptedBroker::Request& request);

// The fields of a batch's header that tests look at.
struct SeenBatch {
  std::int64_t producer_id;
  std::int16_t epoch;
  std::int32_t base_sequence;
  std::int32_t records;
  std::int16_t attributes;
};
SeenBatch ReadBatch(std::string_view batch);

}  // namespace assent::kafka
