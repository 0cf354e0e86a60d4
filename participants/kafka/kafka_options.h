#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace assent::kafka {

// How a Kafka cluster is reached, and every bound of the adapter. Bounds "of this process" are split over its shards.
struct KafkaOptions {
  std::string name;                            // of the participant
  std::vector<std::string> bootstrap_servers;  // "host:port", at least one; the other brokers are learnt from them

  bool tls = false;             // with the brokers
  std::string tls_ca;           // file of the authorities that brokers' certificates are signed by; empty: the system's
  std::string tls_certificate;  // files of this client's certificate, with its chain, and of its key
  std::string tls_key;
  std::string sasl_mechanism;  // PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; empty: none
  std::string sasl_user;
  std::string sasl_password_file;  // one of the two says where the password is
  std::string sasl_password_env;

  // Where a key's records go: "murmur2" as the Java client puts them, "crc32" as librdkafka does unless told otherwise.
  std::string partitioner = "murmur2";
  std::string compression = "none";  // of batches: or gzip, snappy, lz4, zstd

  // Transactional ids of this process: branches between their first Produce and the end of their transaction. Further
  // branches wait for one, until their deadline.
  int max_transactional_ids = 256;
  // An id is used again only so long after its last transaction: meanwhile the broker writes the markers of that one,
  // and would hold up the next by 20 ms. Ids that must be used sooner are, once there are as many as may be.
  absl::Duration transactional_id_rest = absl::Milliseconds(20);
  // For so long after a broker was lost or found a transaction's end is not believed before its markers were seen.
  // Kafka may lose them until its controller has noticed that a broker was away: broker.session.timeout.ms, 9 s.
  absl::Duration trouble_lasts = absl::Seconds(30);
  // transaction.timeout.ms. Where the broker's transaction.max.timeout.ms is lower, that is taken, and logged.
  absl::Duration transaction_timeout = absl::Milliseconds(2147483647);

  std::size_t max_branches = 100'000;           // open ones, of this process
  std::size_t max_branch_bytes = 16u << 20;     // records of one branch, as they go to the broker
  std::size_t max_logged_bytes = 64u << 10;     // of a branch's records: so many stand in the decision, for a repair
  std::size_t max_buffered_bytes = 512u << 20;  // records of all branches of this process
  std::size_t max_record_bytes = 1'000'000;     // one record, as it goes to the broker; brokers take 1048588 by default
  std::size_t max_headers = 1000;               // of one record
  std::size_t max_batch_bytes = 900'000;        // records of one partition beyond it go in further batches
  std::size_t max_queued_operations = 10'000;   // of one branch, while the topics of the first are looked up
  std::size_t max_topics = 10'000;              // whose partitions are remembered
  absl::Duration metadata_age = absl::Minutes(5);       // after which the partitions of a topic are looked up again
  absl::Duration unknown_topic_age = absl::Seconds(1);  // for which a topic that did not exist is not asked for again

  // Of each shard. A broker works on one request of a connection at a time: one that waits, for replicas or for its
  // partition to be added to the transaction, holds up those behind it. Fewer halve the throughput of 16 transactions
  // in flight (docs/performance.md).
  int connections_per_broker = 16;
  std::size_t max_in_flight = 1000;                         // requests sent on one connection and not answered
  std::size_t max_queued_requests = 10'000;                 // behind them
  std::size_t max_response_bytes = 64u << 20;               // longer answers are taken for nonsense
  absl::Duration connect_timeout = absl::Seconds(5);        // with looking up the name, and the first exchange
  absl::Duration request_timeout = absl::Seconds(10);       // without an answer the connection is given up
  absl::Duration finish_timeout = absl::Seconds(5);         // of one attempt to commit or abort
  absl::Duration first_backoff = absl::Milliseconds(10);    // before a request is repeated; doubles
  absl::Duration last_backoff = absl::Milliseconds(200);    // up to this
  absl::Duration first_reconnect = absl::Milliseconds(50);  // before a broker is connected to again; doubles
  absl::Duration last_reconnect = absl::Milliseconds(500);  // up to this
};

}  // namespace assent::kafka
