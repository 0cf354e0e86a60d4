// librdkafka's transactional producer, by its C interface: a producer holds one transaction at a time, so there is one
// for each in flight, and a thread that calls it.
#include <librdkafka/rdkafka.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <latch>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bench/kafka_branch/cell.h"

namespace assent::kafka_branch {
namespace {

constexpr int kPatienceMs = 30'000;

void Check(rd_kafka_error_t* error, const char* call) {
  if (error != nullptr) GiveUp(absl::StrCat(call, ": ", rd_kafka_error_string(error)));
}

rd_kafka_t* MakeProducer(const Cell& cell) {
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  std::array<char, 256> error{};
  const auto set = [&](const char* name, const std::string& value) {
    if (rd_kafka_conf_set(conf, name, value.c_str(), error.data(), error.size()) != RD_KAFKA_CONF_OK) {
      GiveUp(absl::StrCat(name, ": ", error.data()));
    }
  };
  set("bootstrap.servers", cell.server);
  set("transactional.id", RandomName());
  set("acks", "all");
  set("linger.ms", "0");
  rd_kafka_t* producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error.data(), error.size());
  if (producer == nullptr) GiveUp(error.data());
  Check(rd_kafka_init_transactions(producer, kPatienceMs), "init_transactions");
  return producer;
}

void RunTransaction(const Cell& cell, rd_kafka_t* producer, const std::string& value, std::int64_t number) {
  Check(rd_kafka_begin_transaction(producer), "begin_transaction");
  for (int i = 0; i < cell.records; ++i) {
    const CellRecord record = RecordOf(cell, number, i);
    const rd_kafka_resp_err_t refused =
        rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(cell.topic.c_str()), RD_KAFKA_V_PARTITION(record.partition),
                          RD_KAFKA_V_KEY(record.key.data(), record.key.size()),
                          RD_KAFKA_V_VALUE(const_cast<char*>(value.data()), value.size()),
                          RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
    if (refused != RD_KAFKA_RESP_ERR_NO_ERROR) GiveUp(absl::StrCat("producev: ", rd_kafka_err2str(refused)));
  }
  Check(rd_kafka_commit_transaction(producer, kPatienceMs), "commit_transaction");
}

void Run(const Cell& cell) {
  const std::string value(static_cast<std::size_t>(cell.value_bytes), 'v');
  std::atomic<std::int64_t> next = 0;
  std::atomic<bool> stop = false;
  std::vector<std::vector<Sample>> samples(static_cast<std::size_t>(cell.in_flight));
  std::latch ready(cell.in_flight + 1);
  std::vector<std::thread> threads;
  threads.reserve(samples.size());
  for (auto& own : samples) {
    threads.emplace_back([&] {
      rd_kafka_t* producer = MakeProducer(cell);
      ready.arrive_and_wait();
      while (!stop) {
        const Clock::time_point began = Clock::now();
        RunTransaction(cell, producer, value, next++);
        const Clock::time_point now = Clock::now();
        own.push_back({.committed = now, .latency = now - began});
      }
    });
  }
  ready.arrive_and_wait();
  Window window(cell);
  while (window.Continues(Clock::now())) std::this_thread::sleep_until(window.next());
  stop = true;
  for (std::thread& thread : threads) thread.join();
  std::vector<Sample> all;
  for (const auto& own : samples) all.insert(all.end(), own.begin(), own.end());
  window.Report(all);
}

}  // namespace
}  // namespace assent::kafka_branch

int main(int argc, char** argv) {
  assent::kafka_branch::Run(assent::kafka_branch::ParseCell(argc, argv));
  // The producers are left behind: librdkafka 2.0.2 may wait for ever in rd_kafka_destroy().
  _exit(0);
}
