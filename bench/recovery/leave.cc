// Commits transactions of two branches, a row in each of two databases, and waits for their ends or, with wait=decided,
// for their decisions alone: behind run.py's proxy nothing may be able to end.
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <string>

#include "assent/client.h"
#include "bench/recovery/arguments.h"

namespace assent::bench_recovery {
namespace {

Submission Order(int id, Wait wait) {
  return Submission()
      .Do("orders-db", Sql("INSERT INTO orders VALUES ($1)", id))
      .Do("stock-db", Sql("INSERT INTO orders VALUES ($1)", id))
      .WaitFor(wait);
}

void Leave(const Arguments& arguments) {
  Client client({.address = arguments.Text("address")});
  const int first = arguments.Number("first");
  const int transactions = arguments.Number("transactions");
  const int in_flight = arguments.Number("in_flight");
  const Wait wait = arguments.Text("wait") == "decided" ? Wait::kDecided : Wait::kDatabases;
  std::mutex mutex;
  std::condition_variable changed;
  int begun = 0;
  int ended = 0;
  std::unique_lock lock(mutex);
  while (ended < transactions) {
    if (begun == transactions || begun - ended == in_flight) {
      changed.wait(lock);
      continue;
    }
    const Submission order = Order(first + begun++, wait);
    lock.unlock();
    client.SubmitAsync(order, [&](const absl::StatusOr<SubmitResult>& result) {
      if (!result.ok()) GiveUp(result.status().ToString());
      const std::lock_guard answered(mutex);
      ++ended;
      changed.notify_one();
    });
    lock.lock();
  }
}

}  // namespace
}  // namespace assent::bench_recovery

int main(int argc, char** argv) {
  assent::bench_recovery::Leave(assent::bench_recovery::Arguments(argc, argv));
  return 0;
}
