#pragma once

#include <string>

#include "tests/crash/recovery.h"
#include "tests/integration/assentd_process.h"
#include "tests/integration/load.h"
#include "tests/integration/servers.h"

namespace assent::integration {

// A coordinator with two databases and a broker, and callers that keep it busy.
struct CoordinatorUnderLoad {
  // Ends it by SIGKILL where it comes to `failpoint` for so many times; false: it does not.
  bool CrashAt(const std::string& failpoint, int times) {
    assentd.Kill();
    assentd.StartTo(failpoint, times);
    load.Resume();
    return assentd.AwaitCrash();
  }

  void Stop() {
    assentd.Kill();  // whichever it is
    assentd.Start();
    load.Stop();  // what is under way gets its answer
  }

  Stores stores;
  Assentd assentd{PostgresParticipant("orders-db", stores.orders.conninfo()) +
                  PostgresParticipant("stock-db", stores.stock.conninfo()) + KafkaParticipant("events")};
  Load load{assentd.address(), stores, kClients, absl::Seconds(5), kRejectedEvery};
};

}  // namespace assent::integration
