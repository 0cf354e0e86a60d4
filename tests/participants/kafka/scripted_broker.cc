#include "tests/participants/kafka/scripted_broker.h"

#include <array>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <utility>

namespace assent::kafka {

using boost::asio::ip::tcp;
using boost::system::error_code;
using wire::ApiKey;
using wire::Decoder;
using wire::Encoder;

struct ScriptedBroker::Peer {
  explicit Peer(boost::asio::io_context& loop) : socket(loop) {}
  tcp::socket socket;
  std::array<char, 4> length;
  std::string frame;
};

ScriptedBroker::ScriptedBroker(boost::asio::io_context& loop, std::int32_t node) : loop_(loop), node_(node) {
  Listen();
  nodes = {{node_, port_}};
}

void ScriptedBroker::Listen() {
  const tcp::endpoint place(boost::asio::ip::address_v4::loopback(), port_);
  acceptor_ = std::make_unique<tcp::acceptor>(loop_, place, /*reuse_addr=*/true);
  port_ = acceptor_->local_endpoint().port();
  Accept();
}

void ScriptedBroker::Stop() {
  acceptor_.reset();
  error_code ignored;
  for (const auto& weak : std::exchange(peers_, {})) {
    if (const auto peer = weak.lock()) peer->socket.close(ignored);
  }
}

void ScriptedBroker::Restart() { Listen(); }

void ScriptedBroker::Accept() {
  auto peer = std::make_shared<Peer>(loop_);
  acceptor_->async_accept(peer->socket, [this, peer](const error_code& error) {
    if (error) return;
    peers_.push_back(peer);
    Read(peer);
    Accept();
  });
}

void ScriptedBroker::Read(const std::shared_ptr<Peer>& peer) {
  boost::asio::async_read(peer->socket, boost::asio::buffer(peer->length),
                          [this, peer](const error_code& error, std::size_t) {
                            if (error) return;
                            peer->frame.resize(static_cast<std::size_t>(Decoder({peer->length.data(), 4}).Int32()));
                            boost::asio::async_read(peer->socket, boost::asio::buffer(peer->frame),
                                                    [this, peer](const error_code& body_error, std::size_t) {
                                                      if (body_error) return;
                                                      Serve(peer, peer->frame);
                                                      if (peer->socket.is_open()) Read(peer);
                                                    });
                          });
}

void ScriptedBroker::Serve(const std::shared_ptr<Peer>& peer, std::string_view frame) {
  Decoder in(frame);
  Request request{.key = static_cast<ApiKey>(in.Int16()), .version = in.Int16()};
  const std::int32_t correlation_id = in.Int32();
  in.Raw(static_cast<std::size_t>(in.Int16()));  // client id
  in.SkipTaggedFields();
  request.body = std::string(in.Raw(in.remaining()));
  requests_.push_back(request);

  Reply reply;
  if (auto& next = next_[request.key]; !next.empty()) {
    const Script script = std::move(next.front());
    next.pop_front();
    reply = script(request);
  } else if (const auto always = always_.find(request.key); always != always_.end()) {
    reply = always->second(request);
  } else {
    reply = Succeed(request);
  }
  error_code ignored;
  if (reply.kind == Reply::Kind::kHangUp) {
    peer->socket.close(ignored);
  } else if (reply.kind == Reply::Kind::kRaw) {
    boost::asio::write(peer->socket, boost::asio::buffer(reply.bytes), ignored);
  } else if (reply.kind == Reply::Kind::kAnswer) {
    Encoder out;
    const bool tagged = wire::ResponseHeaderHasTaggedFields(request.key);
    out.Int32(static_cast<std::int32_t>(reply.bytes.size() + 4 + (tagged ? 1 : 0)));
    out.Int32(correlation_id);
    if (tagged) out.NoTaggedFields();
    out.Raw(reply.bytes);
    boost::asio::write(peer->socket, boost::asio::buffer(out.bytes()), ignored);
  }
}

std::vector<ScriptedBroker::Request> ScriptedBroker::Requests(ApiKey key) const {
  std::vector<Request> found;
  for (const Request& request : requests_) {
    if (request.key == key) found.push_back(request);
  }
  return found;
}

// ---- The usual answers ----------------------------------------------------------------------------------------------

namespace {

std::string ApiVersions(std::int16_t transaction_version, std::int16_t least_produce) {
  Encoder out;
  out.Int16(0);
  const bool is_v1 = transaction_version < 2;  // as Kafka 3.9 says, and 4.3
  const auto produce = static_cast<std::int16_t>(least_produce > 0 ? least_produce + 1 : is_v1 ? 11 : 12);
  const std::int16_t end_txn = is_v1 ? 4 : 5;
  const std::vector<std::pair<std::int16_t, std::int16_t>> apis = {
      {0, produce}, {2, 9}, {3, 12}, {10, 6}, {18, 4}, {22, 5}, {24, 5}, {26, end_txn}, {61, 0}, {65, 0}, {66, 1}};
  out.CompactArrayLength(apis.size());
  for (const auto& [key, most] : apis) {
    out.Int16(key);
    out.Int16(key == 0 ? least_produce : 0);
    out.Int16(most);
    out.NoTaggedFields();
  }
  out.Int32(0);
  Encoder features;
  features.CompactArrayLength(1);
  features.CompactString("transaction.version");
  features.Int16(transaction_version);
  features.Int16(0);
  features.NoTaggedFields();
  out.UnsignedVarint(1);
  out.UnsignedVarint(2);
  out.UnsignedVarint(features.size());
  out.Raw(features.bytes());
  return std::move(out).Take();
}

void EncodeTopic(Encoder& out, const std::string& name, std::int16_t code, const std::vector<std::int32_t>* leaders,
                 bool is_internal) {
  if (code != 0) leaders = nullptr;
  out.Int16(code == 0 && leaders == nullptr ? 3 : code);
  out.CompactString(name);
  out.Raw(std::string(16, '\0'));
  out.Bool(is_internal);
  out.CompactArrayLength(leaders == nullptr ? 0 : leaders->size());
  for (std::size_t i = 0; leaders != nullptr && i < leaders->size(); ++i) {
    out.Int16(0);
    out.Int32(static_cast<std::int32_t>(i));
    out.Int32((*leaders)[i]);
    out.Int32(0);
    for (int list = 0; list < 3; ++list) out.CompactArrayLength(0);
    out.NoTaggedFields();
  }
  out.Int32(0);
  out.NoTaggedFields();
}

std::string Metadata(const ScriptedBroker& broker, const std::string& body, std::int16_t code) {
  Decoder in(body);
  std::vector<std::string> names;
  if (body[0] == 0) {  // all
    for (const auto& [name, leaders] : broker.topics) names.push_back(name);
  }
  for (std::size_t n = in.CompactArrayLength(1); n > 0; --n) {
    in.Raw(16);
    names.push_back(in.CompactString());
    in.SkipTaggedFields();
  }
  Encoder out;
  out.Int32(0);
  out.CompactArrayLength(broker.nodes.size());
  for (const auto& node : broker.nodes) {
    out.Int32(node.id);
    out.CompactString("127.0.0.1");
    out.Int32(node.port);
    out.CompactNullableString(std::nullopt);
    out.NoTaggedFields();
  }
  out.CompactNullableString("cluster");
  out.Int32(1);
  out.CompactArrayLength(names.size());
  for (const std::string& name : names) {
    const auto found = broker.topics.find(name);
    EncodeTopic(out, name, code, found == broker.topics.end() ? nullptr : &found->second,
                broker.internal_topics.contains(name));
  }
  out.NoTaggedFields();
  return std::move(out).Take();
}

std::string FindCoordinator(const ScriptedBroker& broker, const std::string& body, std::int16_t code) {
  Decoder in(body);
  in.Int8();
  in.CompactArrayLength(1);
  Encoder out;
  out.Int32(0);
  out.CompactArrayLength(1);
  out.CompactString(in.CompactString());
  out.Int32(broker.coordinator);
  out.CompactString("127.0.0.1");
  out.Int32(broker.port());
  out.Int16(code);
  out.CompactNullableString(std::nullopt);
  out.NoTaggedFields();
  out.NoTaggedFields();
  return std::move(out).Take();
}

std::string ProducerIdAndEpoch(std::int16_t code, std::int64_t producer_id, std::int16_t epoch) {
  Encoder out;
  out.Int32(0);
  out.Int16(code);
  out.Int64(producer_id);
  out.Int16(epoch);
  out.NoTaggedFields();
  return std::move(out).Take();
}

std::string AddPartitionsToTxn(const ScriptedBroker::Request& request, std::int16_t code) {
  Encoder out;
  out.Int32(0);
  const auto topics = ReadAddPartitions(request).topics;
  out.CompactArrayLength(topics.size());
  for (const auto& [topic, partitions] : topics) {
    out.CompactString(topic);
    out.CompactArrayLength(partitions.size());
    for (const std::int32_t partition : partitions) {
      out.Int32(partition);
      out.Int16(code);
      out.NoTaggedFields();
    }
    out.NoTaggedFields();
  }
  out.NoTaggedFields();
  return std::move(out).Take();
}

std::string EndTxnV1(std::int16_t code) {
  Encoder out;
  out.Int32(0);
  out.Int16(code);
  out.NoTaggedFields();
  return std::move(out).Take();
}

std::string Produce(const ScriptedBroker::Request& request, std::int16_t code) {
  const SeenProduce seen = ReadProduce(request);
  Encoder out;
  out.CompactArrayLength(seen.partitions.size());  // a topic for each partition: allowed, and simple
  for (const auto& partition : seen.partitions) {
    out.CompactString(partition.topic);
    out.CompactArrayLength(1);
    out.Int32(partition.index);
    out.Int16(code);
    for (int i = 0; i < 3; ++i) out.Int64(0);
    out.CompactArrayLength(0);
    out.CompactNullableString(std::nullopt);
    out.NoTaggedFields();
    out.NoTaggedFields();
  }
  out.Int32(0);
  out.NoTaggedFields();
  return std::move(out).Take();
}

std::string DescribeTransactions(const ScriptedBroker& broker, const std::string& body, std::int16_t code) {
  Decoder in(body);
  in.CompactArrayLength(1);
  Encoder out;
  out.Int32(0);
  out.CompactArrayLength(1);
  out.Int16(code == 0 ? broker.described_error : code);
  out.CompactString(in.CompactString());
  out.CompactString(broker.described_state);
  out.Int32(0);
  out.Int64(0);
  out.Int64(broker.producer_id);
  out.Int16(broker.described_epoch);
  out.CompactArrayLength(broker.described_partitions.size());  // a topic for each: allowed, and simple
  for (const auto& [topic, partition] : broker.described_partitions) {
    out.CompactString(topic);
    out.CompactArrayLength(1);
    out.Int32(partition);
    out.NoTaggedFields();
  }
  out.NoTaggedFields();
  out.NoTaggedFields();
  return std::move(out).Take();
}

std::string DescribeProducers(const ScriptedBroker& broker, const ScriptedBroker::Request& request, std::int16_t code) {
  const auto asked = ReadDescribeProducers(request);
  Encoder out;
  out.Int32(0);
  out.CompactArrayLength(asked.size());
  for (const auto& [topic, partition] : asked) {
    out.CompactString(topic);
    out.CompactArrayLength(1);
    out.Int32(partition);
    out.Int16(code);
    out.CompactNullableString(std::nullopt);
    const auto open = broker.open_transactions.find({topic, partition});
    const bool is_open = code == 0 && open != broker.open_transactions.end();
    out.CompactArrayLength(is_open ? 1 : 0);
    if (is_open) {
      out.Int64(broker.producer_id);
      out.Int32(open->second.epoch);
      out.Int32(0);
      out.Int64(0);
      out.Int32(0);
      out.Int64(open->second.from_offset);
      out.NoTaggedFields();
    }
    out.NoTaggedFields();
    out.NoTaggedFields();
  }
  out.NoTaggedFields();
  return std::move(out).Take();
}

std::string ListOffsets(const ScriptedBroker& broker, const ScriptedBroker::Request& request, std::int16_t code) {
  const SeenListOffsets asked = ReadListOffsets(request);
  Encoder out;
  out.Int32(0);
  out.CompactArrayLength(asked.partitions.size());  // a topic for each: allowed, and simple
  for (const auto& partition : asked.partitions) {
    const auto found = broker.ends.find(partition);
    const ScriptedBroker::Ends ends = found == broker.ends.end() ? ScriptedBroker::Ends{} : found->second;
    const std::int64_t offset = asked.read_committed ? ends.last_stable_offset : ends.high_watermark;
    out.CompactString(partition.first);
    out.CompactArrayLength(1);
    out.Int32(partition.second);
    out.Int16(code);
    out.Int64(-1);
    out.Int64(code == 0 ? offset : -1);
    out.Int32(0);
    out.NoTaggedFields();
    out.NoTaggedFields();
  }
  out.NoTaggedFields();
  return std::move(out).Take();
}

std::string DescribeConfigs() {
  Encoder out;
  out.Int32(0);
  out.CompactArrayLength(1);
  out.Int16(0);
  out.CompactNullableString(std::nullopt);
  out.Int8(4);
  out.CompactString("1");
  out.CompactArrayLength(1);
  out.CompactString("transaction.max.timeout.ms");
  out.CompactNullableString("600000");
  out.Bool(false);
  out.Int8(5);
  out.Bool(false);
  out.CompactArrayLength(0);
  out.Int8(3);
  out.CompactNullableString(std::nullopt);
  out.NoTaggedFields();
  out.NoTaggedFields();
  out.NoTaggedFields();
  return std::move(out).Take();
}

std::string ListTransactions(const ScriptedBroker& broker, std::int16_t code) {
  Encoder out;
  out.Int32(0);
  out.Int16(code);
  out.CompactArrayLength(0);
  out.CompactArrayLength(broker.listed.size());
  for (const std::string& id : broker.listed) {
    out.CompactString(id);
    out.Int64(broker.producer_id);
    const auto state = broker.listed_states.find(id);
    out.CompactString(state == broker.listed_states.end() ? "CompleteCommit" : state->second);
    out.NoTaggedFields();
  }
  out.NoTaggedFields();
  return std::move(out).Take();
}

}  // namespace

ScriptedBroker::Script ScriptedBroker::Answering(ApiKey, std::int16_t error_code) const {
  return [this, error_code](const Request& request) { return Succeed(request, error_code); };
}

ScriptedBroker::Reply ScriptedBroker::Succeed(const Request& request, std::int16_t code) const {
  switch (request.key) {
    case ApiKey::kApiVersions:
      return {.bytes = ApiVersions(transaction_version, least_produce)};
    case ApiKey::kMetadata:
      return {.bytes = Metadata(*this, request.body, code)};
    case ApiKey::kFindCoordinator:
      return {.bytes = FindCoordinator(*this, request.body, code)};
    case ApiKey::kInitProducerId: {
      const std::string id = ReadInitProducerId(request).transactional_id;
      return {.bytes = ProducerIdAndEpoch(code, producer_id, code == 0 ? epochs_[id]++ : std::int16_t{-1})};
    }
    case ApiKey::kSaslHandshake:
    case ApiKey::kSaslAuthenticate:
      break;  // its clients have nobody to be
    case ApiKey::kAddPartitionsToTxn:
      return {.bytes = AddPartitionsToTxn(request, code)};
    case ApiKey::kEndTxn:
      if (request.version < 5) return {.bytes = EndTxnV1(code)};
      return {.bytes = ProducerIdAndEpoch(code, producer_id, static_cast<std::int16_t>(ReadEndTxn(request).epoch + 1))};
    case ApiKey::kProduce:
      return {.bytes = Produce(request, code)};
    case ApiKey::kListOffsets:
      return {.bytes = ListOffsets(*this, request, code)};
    case ApiKey::kDescribeProducers:
      return {.bytes = DescribeProducers(*this, request, code)};
    case ApiKey::kDescribeTransactions:
      return {.bytes = DescribeTransactions(*this, request.body, code)};
    case ApiKey::kDescribeConfigs:
      return {.bytes = DescribeConfigs()};
    case ApiKey::kListTransactions:
      return {.bytes = ListTransactions(*this, code)};
  }
  return HangUp();
}

// ---- Reading requests -----------------------------------------------------------------------------------------------

SeenProduce ReadProduce(const ScriptedBroker::Request& request) {
  Decoder in(request.body);
  SeenProduce seen{.transactional_id = in.CompactString()};
  seen.acks = in.Int16();
  in.Int32();  // timeout
  for (std::size_t topics = in.CompactArrayLength(1); topics > 0; --topics) {
    const std::string topic = in.CompactString();
    for (std::size_t n = in.CompactArrayLength(1); n > 0; --n) {
      SeenProduce::Partition& partition = seen.partitions.emplace_back();
      partition.topic = topic;
      partition.index = in.Int32();
      partition.batch = in.CompactString();
      in.SkipTaggedFields();
    }
    in.SkipTaggedFields();
  }
  return seen;
}

SeenAddPartitions ReadAddPartitions(const ScriptedBroker::Request& request) {
  Decoder in(request.body);
  SeenAddPartitions seen;
  seen.transactional_id = in.CompactString();
  seen.producer_id = in.Int64();
  seen.epoch = in.Int16();
  for (std::size_t topics = in.CompactArrayLength(1); topics > 0; --topics) {
    std::vector<std::int32_t>& partitions = seen.topics[in.CompactString()];
    for (std::size_t n = in.CompactArrayLength(4); n > 0; --n) partitions.push_back(in.Int32());
    in.SkipTaggedFields();
  }
  return seen;
}

std::vector<std::pair<std::string, std::int32_t>> ReadDescribeProducers(const ScriptedBroker::Request& request) {
  Decoder in(request.body);
  std::vector<std::pair<std::string, std::int32_t>> partitions;
  for (std::size_t topics = in.CompactArrayLength(1); topics > 0; --topics) {
    const std::string topic = in.CompactString();
    for (std::size_t n = in.CompactArrayLength(4); n > 0; --n) partitions.emplace_back(topic, in.Int32());
    in.SkipTaggedFields();
  }
  return partitions;
}

SeenListOffsets ReadListOffsets(const ScriptedBroker::Request& request) {
  Decoder in(request.body);
  in.Int32();  // replica
  SeenListOffsets seen{.read_committed = in.Int8() == 1};
  for (std::size_t topics = in.CompactArrayLength(1); topics > 0; --topics) {
    const std::string topic = in.CompactString();
    for (std::size_t n = in.CompactArrayLength(16); n > 0; --n) {
      seen.partitions.emplace_back(topic, in.Int32());
      in.Raw(4 + 8);  // leader epoch, time
      in.SkipTaggedFields();
    }
    in.SkipTaggedFields();
  }
  return seen;
}

SeenEndTxn ReadEndTxn(const ScriptedBroker::Request& request) {
  Decoder in(request.body);
  SeenEndTxn seen{.version = request.version};
  seen.transactional_id = in.CompactString();
  seen.producer_id = in.Int64();
  seen.epoch = in.Int16();
  seen.commit = in.Bool();
  return seen;
}

SeenInitProducerId ReadInitProducerId(const ScriptedBroker::Request& request) {
  Decoder in(request.body);
  SeenInitProducerId seen;
  seen.transactional_id = in.CompactString();
  seen.timeout_ms = in.Int32();
  return seen;
}

SeenBatch ReadBatch(std::string_view batch) {
  Decoder in(batch);
  SeenBatch seen{};
  in.Raw(21);
  seen.attributes = in.Int16();
  in.Raw(4 + 8 + 8);
  seen.producer_id = in.Int64();
  seen.epoch = in.Int16();
  seen.base_sequence = in.Int32();
  seen.records = in.Int32();
  return seen;
}

}  // namespace assent::kafka
