#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "assent/value.h"

namespace assent {
inline namespace client {

// One SQL statement with its parameters:
//
//   Sql("INSERT INTO orders VALUES ($1, $2, $3)", 42, "tea", 2)
//   Sql("UPDATE stock SET left = left - $1 WHERE item = $2", 2, "tea").ExpectRows(1)
//
// Transaction control (BEGIN, COMMIT, SAVEPOINT's ROLLBACK TO excepted) is refused: it belongs to the coordinator.
class Sql {
 public:
  template <typename... Values>
  explicit Sql(std::string statement, Values&&... values) : statement_(std::move(statement)) {
    if constexpr (sizeof...(Values) > 0) parameter_sets_.push_back({Value(std::forward<Values>(values))...});
  }

  // Another set of parameters: the statement runs once for each, in order, in the same round trip.
  template <typename... Values>
  Sql& AndWith(Values&&... values) & {
    parameter_sets_.push_back({Value(std::forward<Values>(values))...});
    return *this;
  }
  template <typename... Values>
  Sql&& AndWith(Values&&... values) && {
    return std::move(AndWith(std::forward<Values>(values)...));
  }

  // How many rows each run must return or change. Any other number, and the transaction cannot commit.
  Sql& ExpectRows(std::int64_t rows) & {
    expected_rows_ = rows;
    return *this;
  }
  Sql&& ExpectRows(std::int64_t rows) && { return std::move(ExpectRows(rows)); }

  const std::string& statement() const { return statement_; }
  const std::vector<std::vector<Value>>& parameter_sets() const { return parameter_sets_; }
  std::optional<std::int64_t> expected_rows() const { return expected_rows_; }

 private:
  std::string statement_;
  std::vector<std::vector<Value>> parameter_sets_;
  std::optional<std::int64_t> expected_rows_;
};

// One Kafka record: Record("orders", "42", R"({"item": "tea"})").Header("source", "shop")
//
// Records with equal keys go to one partition, the same that Kafka's Java client would choose. A null value is a
// tombstone in a compacted topic.
class Record {
 public:
  Record(std::string topic, std::optional<std::string> key, std::optional<std::string> value)
      : topic_(std::move(topic)), key_(std::move(key)), value_(std::move(value)) {}

  Record& Header(std::string key, std::optional<std::string> value) & {
    headers_.emplace_back(std::move(key), std::move(value));
    return *this;
  }
  Record&& Header(std::string key, std::optional<std::string> value) && {
    return std::move(Header(std::move(key), std::move(value)));
  }

  // Instead of the moment at which the coordinator takes the record; milliseconds count.
  Record& Timestamp(absl::Time timestamp) & {
    timestamp_ = timestamp;
    return *this;
  }
  Record&& Timestamp(absl::Time timestamp) && { return std::move(Timestamp(timestamp)); }

  // Instead of the one that the key gives.
  Record& Partition(std::int32_t partition) & {
    partition_ = partition;
    return *this;
  }
  Record&& Partition(std::int32_t partition) && { return std::move(Partition(partition)); }

  const std::string& topic() const { return topic_; }
  const std::optional<std::string>& key() const { return key_; }
  const std::optional<std::string>& value() const { return value_; }
  const std::vector<std::pair<std::string, std::optional<std::string>>>& headers() const { return headers_; }
  const std::optional<absl::Time>& timestamp() const { return timestamp_; }
  std::optional<std::int32_t> partition() const { return partition_; }

 private:
  std::string topic_;
  std::optional<std::string> key_;
  std::optional<std::string> value_;
  std::vector<std::pair<std::string, std::optional<std::string>>> headers_;
  std::optional<absl::Time> timestamp_;
  std::optional<std::int32_t> partition_;
};

enum class Isolation { kDatabaseDefault, kReadCommitted, kRepeatableRead, kSerializable };

// Of a branch at a SQL database.
struct SqlBranchOptions {
  Isolation isolation = Isolation::kDatabaseDefault;
  bool read_only = false;  // the database refuses writes, and the branch costs nothing at commit
  std::optional<absl::Duration> statement_timeout;
};

// Of a branch at Kafka.
struct KafkaBranchOptions {
  // Records go out only after the transaction's SQL holds its row locks, so that the events of a row appear in the
  // order of its commits. Unordered ones go out at once: sooner, and in no such order.
  bool unordered = false;
};

using BranchOptions = std::variant<std::monostate, SqlBranchOptions, KafkaBranchOptions>;

}  // namespace client
}  // namespace assent
