#include "client/messages.h"

#include <memory>
#include <utility>

#include "client/status_details.h"

namespace assent {
inline namespace client {
namespace {

void Store(const Value& value, v1::Value& message) {
  struct Storing {
    v1::Value& message;
    void operator()(std::nullptr_t) const { message.set_null(v1::NULL_VALUE); }
    void operator()(bool v) const { message.set_bool_(v); }
    void operator()(std::int64_t v) const { message.set_int64(v); }
    void operator()(double v) const { message.set_double_(v); }
    void operator()(const std::string& v) const { message.set_text(v); }
    void operator()(const Bytes& v) const { message.set_bytes(v.data); }
  };
  std::visit(Storing{message}, value.kind());
}

Value FromProto(const v1::Value& message) {
  switch (message.kind_case()) {
    case v1::Value::kBool:
      return message.bool_();
    case v1::Value::kInt64:
      return message.int64();
    case v1::Value::kDouble:
      return message.double_();
    case v1::Value::kText:
      return message.text();
    case v1::Value::kBytes:
      return Bytes{message.bytes()};
    case v1::Value::kNull:
    case v1::Value::KIND_NOT_SET:
      return nullptr;
  }
  return nullptr;
}

StatementResult FromProto(const v1::StatementResult& message) {
  StatementResult result;
  result.affected_rows = message.affected_rows();
  result.command_tag = message.command_tag();
  auto columns = std::make_shared<std::vector<Column>>();
  for (const v1::Column& column : message.columns()) columns->push_back({column.name(), column.type_oid()});
  for (const v1::Row& row : message.rows()) {
    std::vector<Value> values;
    for (const v1::Value& value : row.values()) values.push_back(FromProto(value));
    result.rows.emplace_back(columns, std::move(values));
  }
  return result;
}

void Store(const Record& record, v1::KafkaRecord& message) {
  message.set_topic(record.topic());
  if (record.key()) message.set_key(*record.key());
  if (record.value()) message.set_value(*record.value());
  for (const auto& [key, value] : record.headers()) {
    v1::KafkaHeader& header = *message.add_headers();
    header.set_key(key);
    if (value) header.set_value(*value);
  }
  if (record.timestamp()) *message.mutable_timestamp() = ToProto(*record.timestamp());
  if (record.partition()) message.set_partition(*record.partition());
}

v1::IsolationLevel ToProto(Isolation isolation) {
  switch (isolation) {
    case Isolation::kDatabaseDefault:
      return v1::ISOLATION_LEVEL_UNSPECIFIED;
    case Isolation::kReadCommitted:
      return v1::READ_COMMITTED;
    case Isolation::kRepeatableRead:
      return v1::REPEATABLE_READ;
    case Isolation::kSerializable:
      return v1::SERIALIZABLE;
  }
  return v1::ISOLATION_LEVEL_UNSPECIFIED;
}

// "STATE_COMMITTED" without what is the same in all.
std::string StateName(v1::TransactionState state) {
  const std::string name = v1::TransactionState_Name(state);
  const std::string prefix = "STATE_";
  return name.rfind(prefix, 0) == 0 ? name.substr(prefix.size()) : name;
}

}  // namespace

v1::Operation ToProto(const std::vector<Sql>& statements) {
  v1::Operation operation;
  for (const Sql& sql : statements) {
    v1::SqlStatement& statement = *operation.mutable_sql()->add_statements();
    statement.set_sql(sql.statement());
    for (const auto& values : sql.parameter_sets()) {
      v1::ParameterSet& set = *statement.add_parameter_sets();
      for (const Value& value : values) Store(value, *set.add_values());
    }
    if (sql.expected_rows()) statement.set_expect_rows(*sql.expected_rows());
  }
  return operation;
}

v1::Operation ToProto(const std::vector<Record>& records) {
  v1::Operation operation;
  for (const Record& record : records) Store(record, *operation.mutable_kafka()->add_records());
  return operation;
}

v1::BranchOptions ToProto(const BranchOptions& options) {
  v1::BranchOptions message;
  if (const auto* sql = std::get_if<SqlBranchOptions>(&options)) {
    message.mutable_sql()->set_isolation(ToProto(sql->isolation));
    message.mutable_sql()->set_read_only(sql->read_only);
    if (sql->statement_timeout) *message.mutable_sql()->mutable_statement_timeout() = ToProto(*sql->statement_timeout);
  } else if (const auto* kafka = std::get_if<KafkaBranchOptions>(&options)) {
    message.mutable_kafka()->set_order(kafka->unordered ? v1::UNORDERED : v1::AFTER_SQL);
  }
  return message;
}

v1::Wait ToProto(Wait wait) {
  switch (wait) {
    case Wait::kDatabases:
      return v1::DATABASES;
    case Wait::kDecided:
      return v1::DECIDED;
    case Wait::kCompleted:
      return v1::COMPLETED;
  }
  return v1::WAIT_UNSPECIFIED;
}

google::protobuf::Duration ToProto(absl::Duration duration) {
  google::protobuf::Duration message;
  message.set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &duration));
  message.set_nanos(static_cast<std::int32_t>(absl::IDivDuration(duration, absl::Nanoseconds(1), &duration)));
  return message;
}

google::protobuf::Timestamp ToProto(absl::Time time) {
  absl::Duration since_1970 = time - absl::UnixEpoch();
  google::protobuf::Timestamp message;
  message.set_seconds(absl::ToInt64Seconds(absl::Floor(since_1970, absl::Seconds(1))));
  since_1970 -= absl::Seconds(message.seconds());
  message.set_nanos(static_cast<std::int32_t>(absl::ToInt64Nanoseconds(since_1970)));
  return message;
}

v1::SubmitRequest ToProto(const Submission& submission) {
  v1::SubmitRequest request;
  request.set_request_id(submission.request_id());
  for (const auto& [key, value] : submission.labels()) (*request.mutable_labels())[key] = value;
  request.set_wait(ToProto(submission.wait()));
  for (const SubmissionBranch& branch : submission.branches()) {
    v1::SubmitBranch& message = *request.add_branches();
    message.set_participant(branch.participant);
    message.set_branch(branch.name);
    if (branch.options.index() != 0) *message.mutable_options() = ToProto(branch.options);
    for (const Work& work : branch.operations) {
      *message.add_operations() = std::visit([](const auto& operations) { return ToProto(operations); }, work);
    }
  }
  return request;
}

absl::Time FromProto(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

SqlResult FromProto(const v1::OperationResult& message) {
  SqlResult result;
  for (const v1::StatementResult& run : message.sql().results()) result.results.push_back(FromProto(run));
  return result;
}

SubmitResult FromProto(const v1::SubmitResponse& response) {
  SubmitResult result;
  result.txn_id = response.txn_id();
  result.results_omitted = response.results_omitted();
  for (const v1::BranchResult& branch : response.branches()) {
    for (const v1::OperationResult& operation : branch.results()) {
      result.results[branch.branch()].push_back(FromProto(operation));
    }
  }
  for (const std::string& branch : response.heuristic_branches()) result.heuristic_branches.push_back(branch);
  return result;
}

CommitResult FromProto(const v1::CommitResponse& response) {
  CommitResult result{response.txn_id(), {}};
  for (const std::string& branch : response.heuristic_branches()) result.heuristic_branches.push_back(branch);
  return result;
}

TransactionInfo FromProto(const v1::TransactionDescription& description) {
  TransactionInfo info;
  info.txn_id = description.txn_id();
  info.request_id = description.request_id();
  info.outcome = FromProto(description.outcome());
  info.state = StateName(description.state());
  info.began = FromProto(description.began());
  info.deadline = FromProto(description.deadline());
  info.failure_reason = description.failure().reason();
  for (const v1::BranchDescription& branch : description.branches()) {
    info.branches.push_back({branch.branch(), branch.participant(), branch.state(), branch.heuristic()});
  }
  return info;
}

}  // namespace client
}  // namespace assent
