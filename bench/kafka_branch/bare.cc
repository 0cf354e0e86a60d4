// What the broker allows: Produce and EndTxn of transactions V2 by the same codec, on a few connections in one loop
// around poll(2), and nothing else. It knows no errors, no second broker, and no transaction of its own that could be
// left behind.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cstdlib>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "bench/kafka_branch/cell.h"
#include "participants/kafka/wire/decoder.h"
#include "participants/kafka/wire/produce_messages.h"
#include "participants/kafka/wire/record_batch.h"
#include "participants/kafka/wire/transaction_messages.h"

namespace assent::kafka_branch {
namespace {

namespace wire = kafka::wire;

// As many as the participant has: an id used again while the broker writes the markers of its last transaction would
// wait for 20 ms.
constexpr int kTransactionalIds = 256;
// A broker works on one request of a connection at a time, and on a Produce for as long as it takes to add the
// partition to the transaction: of 1, 2, 4, 8 and 16 connections these give the most.
constexpr std::size_t kConnections = 16;
constexpr std::int16_t kLoading = 14;  // COORDINATOR_LOAD_IN_PROGRESS
constexpr int kTimeoutMs = 10'000;

// One connection; the broker answers in the order of the requests.
struct Connection {
  int socket = -1;
  std::string to_send;
  std::string received;
  std::deque<std::size_t> waiting;  // slots, for the answers
};

struct Session {
  std::string transactional_id;
  std::int64_t producer_id = -1;
  std::int16_t epoch = -1;
};

// One transaction in flight.
struct Slot {
  Clock::time_point began;
  Session session;
  bool ends = false;  // EndTxn is sent
};

int Connect(const std::string& server) {
  const std::size_t colon = server.rfind(':');
  sockaddr_in address{.sin_family = AF_INET,
                      .sin_port = htons(static_cast<std::uint16_t>(std::atoi(server.substr(colon + 1).c_str())))};
  inet_pton(AF_INET, server.substr(0, colon).c_str(), &address.sin_addr);
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  if (connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) GiveUp("no connection");
  const int on = 1;
  setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  return socket;
}

void Flush(Connection& connection) {
  for (std::string_view rest = connection.to_send; !rest.empty();) {
    const ssize_t sent = send(connection.socket, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (sent <= 0) GiveUp("the broker takes nothing any more");
    rest.remove_prefix(static_cast<std::size_t>(sent));
  }
  connection.to_send.clear();
}

// The bodies of the answers that are there, each to `take`.
template <typename Take>
void Receive(Connection& connection, Take take) {
  std::array<char, 65536> buffer;
  const ssize_t got = recv(connection.socket, buffer.data(), buffer.size(), 0);
  if (got <= 0) GiveUp("the broker closed the connection");
  connection.received.append(buffer.data(), static_cast<std::size_t>(got));
  std::string_view rest = connection.received;
  while (rest.size() >= 4) {
    const auto length = static_cast<std::size_t>(wire::Decoder(rest).Int32());
    if (rest.size() < 4 + length) break;
    wire::Decoder body(rest.substr(4, length));
    body.Int32();  // correlation id
    body.SkipTaggedFields();
    take(body);
    rest.remove_prefix(4 + length);
  }
  connection.received.erase(0, connection.received.size() - rest.size());
}

class Load {
 public:
  explicit Load(const Cell& cell) : cell_(cell), value_(static_cast<std::size_t>(cell.value_bytes), 'v') {
    for (Connection& connection : connections_) connection.socket = Connect(cell.server);
    MakeSessions();
    slots_.resize(static_cast<std::size_t>(cell.in_flight));
  }

  void Run() {
    Window window(cell_);
    std::size_t running = slots_.size();
    for (std::size_t i = 0; i < slots_.size(); ++i) Begin(i);
    while (running > 0) {
      for (Connection& connection : connections_) Flush(connection);
      std::array<pollfd, kConnections> polled{};
      for (std::size_t i = 0; i < kConnections; ++i) polled[i] = {.fd = connections_[i].socket, .events = POLLIN};
      if (poll(polled.data(), polled.size(), kTimeoutMs) <= 0) GiveUp("the broker does not answer");
      for (std::size_t i = 0; i < kConnections; ++i) {
        if (polled[i].revents == 0) continue;
        Receive(connections_[i], [&](wire::Decoder& answer) {
          const std::size_t slot = connections_[i].waiting.front();
          connections_[i].waiting.pop_front();
          if (!slots_[slot].ends) return End(slot, answer);
          Committed(slot, answer);
          window.Continues(samples_.back().committed) ? Begin(slot) : void(--running);
        });
      }
    }
    window.Report(samples_);
  }

 private:
  void MakeSessions() {
    const std::string name = RandomName();
    for (int i = 0; i < kTransactionalIds; ++i) {
      Session session{.transactional_id = absl::StrCat(name, "-", i)};
      std::int16_t code = Init(session);
      // While the broker fetches a new block of producer ids.
      while (code == kLoading) {
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
        code = Init(session);
      }
      if (code != 0) GiveUp(absl::StrCat("InitProducerId: Kafka error ", code));
      idle_.push_back(std::move(session));
    }
  }

  std::int16_t Init(Session& session) {
    const wire::InitProducerIdRequest request{.transactional_id = session.transactional_id,
                                              .transaction_timeout_ms = 60'000};
    Connection& connection = connections_[0];
    connection.to_send = wire::EncodeFrame(request, 0, "bench");
    Flush(connection);
    std::optional<wire::InitProducerIdResponse> answer;
    while (!answer) {
      Receive(connection, [&](wire::Decoder& in) { answer = wire::InitProducerIdResponse::Decode(in); });
    }
    session.producer_id = answer->producer_id;
    session.epoch = answer->epoch;
    return answer->error_code;
  }

  template <typename Request>
  void Send(std::size_t slot, const Request& request) {
    Connection& connection = connections_[slot % kConnections];
    connection.to_send += wire::EncodeFrame(request, 0, "bench");
    connection.waiting.push_back(slot);
  }

  void Begin(std::size_t i) {
    Slot& slot = slots_[i];
    slot = {.began = Clock::now(), .session = std::move(idle_.front())};
    idle_.pop_front();
    const std::int64_t now_ms = absl::ToUnixMillis(absl::Now());
    std::vector<wire::RecordBatchBuilder> batches(static_cast<std::size_t>(cell_.partitions));
    for (int record = 0; record < cell_.records; ++record) {
      const CellRecord place = RecordOf(cell_, next_, record);
      batches[static_cast<std::size_t>(place.partition)].Add(
          {.key = place.key, .value = value_, .timestamp_ms = now_ms});
    }
    ++next_;
    std::vector<std::string> finished;
    finished.reserve(batches.size());
    wire::ProduceRequest request{.transactional_id = slot.session.transactional_id, .timeout_ms = kTimeoutMs};
    for (std::size_t partition = 0; partition < batches.size(); ++partition) {
      if (batches[partition].records() == 0) continue;
      finished.push_back(batches[partition].Finish(slot.session.producer_id, slot.session.epoch, 0));
      request.partitions.push_back(
          {.topic = cell_.topic, .index = static_cast<std::int32_t>(partition), .batch = finished.back()});
    }
    Send(i, request);
  }

  void End(std::size_t i, wire::Decoder& in) {
    for (const auto& partition : wire::ProduceResponse::Decode(in).partitions) {
      if (partition.error_code != 0) GiveUp(absl::StrCat("Produce: Kafka error ", partition.error_code));
    }
    Slot& slot = slots_[i];
    slot.ends = true;
    Send(i, wire::EndTxnRequest{.transactional_id = slot.session.transactional_id,
                                .producer_id = slot.session.producer_id,
                                .epoch = slot.session.epoch,
                                .commit = true});
  }

  void Committed(std::size_t i, wire::Decoder& in) {
    const auto answer = wire::EndTxnResponse::Decode(in, wire::EndTxnRequest::kV2);
    if (answer.error_code != 0) GiveUp(absl::StrCat("EndTxn: Kafka error ", answer.error_code));
    Slot& slot = slots_[i];
    const Clock::time_point now = Clock::now();
    samples_.push_back({.committed = now, .latency = now - slot.began});
    slot.session.producer_id = answer.producer_id;
    slot.session.epoch = answer.epoch;
    idle_.push_back(std::move(slot.session));
  }

  const Cell cell_;
  const std::string value_;
  std::array<Connection, kConnections> connections_;
  std::deque<Session> idle_;
  std::vector<Slot> slots_;
  std::vector<Sample> samples_;
  std::int64_t next_ = 0;
};

}  // namespace
}  // namespace assent::kafka_branch

int main(int argc, char** argv) {
  assent::kafka_branch::Load(assent::kafka_branch::ParseCell(argc, argv)).Run();
  return 0;
}
