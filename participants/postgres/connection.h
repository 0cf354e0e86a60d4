#pragma once

#include <libpq-fe.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "participants/participant.h"
#include "participants/postgres/loop_tasks.h"
#include "participants/postgres/statement_cache.h"
#include "participants/postgres/values.h"

namespace assent::postgres {

// What the server gave to one command.
struct Answer {
  enum class Kind {
    kRow,      // one row; more answers follow
    kDone,     // it was run; the last answer
    kError,    // refused by the server; the last answer
    kSkipped,  // not run, because a command before it in the same segment failed; the last answer
    kLost,     // the connection ended first: it may have been run; the last answer
  };
  Kind kind = Kind::kLost;
  const PGresult* result = nullptr;  // of kRow and kDone
  BranchError error = {};            // of kError and kLost
  // The server stopped waiting for its replicas: done here, and perhaps not where a failover leads.
  bool replicas_unknown = false;

  std::string_view tag() const { return kind == Kind::kDone ? PQcmdStatus(const_cast<PGresult*>(result)) : ""; }
};

// The server behind a connection. A transaction id means something only to the same cluster on the same timeline.
struct ServerIdentity {
  std::uint64_t system_identifier = 0;  // 0: we may not read it
  std::uint32_t timeline = 0;           // 0: we may not read it
  std::string database;
  std::string started_at;  // when it was started last: to the microsecond, in the server's words
};

// One server process, for ever: process ids come again, start times do not.
struct BackendIdentity {
  int pid = 0;
  std::string started;  // seconds since 1970, as the server writes them
};

// What a server said about itself when the connection came up.
struct ServerSettings {
  std::string version;
  std::int64_t max_prepared_transactions = 0;
  bool fsync = true;
  bool full_page_writes = true;
  std::string synchronous_commit;
  bool is_superuser = false;
};

// One connection to PostgreSQL, in pipeline mode: commands are sent at once, and answered in order.
//
// Commands up to a Sync are a segment: when one fails, the rest of the segment is skipped. Transactions are the
// caller's: several segments may belong to one.
//
// Owner and thread: the pool and whoever works on it share it; all on the loop's thread. Callbacks run inside the
// loop's handlers or inside Close(), each command's last one exactly once. After the end every callback has run, and
// later commands are answered kLost from Soon().
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  using OnAnswer = absl::AnyInvocable<void(const Answer&)>;
  using OnSync = absl::AnyInvocable<void(bool lost)>;

  struct Settings {
    std::string conninfo;
    std::string application_name;
    std::uint32_t max_prepared_statements = 100;
  };
  // Both at most once; `ended` also after `ready`. Neither runs inside Open().
  struct Events {
    std::function<void()> ready;
    std::function<void(const BranchError& why)> ended;
  };

  // `loop` and `tasks` outlive it.
  Connection(boost::asio::io_context& loop, LoopTasks& tasks, Settings settings, Events events);
  ~Connection();

  void Open();
  // Ends it without a word to anybody: its instance ends.
  void Abandon();

  // Sends a command. `rows`: each row comes as an answer of its own, so that a large result never stands in memory as
  // a whole. `keep_plan`: the statement is prepared on its second use.
  struct Command {
    const std::string& sql;
    const Parameters& parameters;
    bool rows = false;
    bool keep_plan = false;
    bool comes_often = false;  // prepare it on its first use
  };
  void Send(const Command& command, OnAnswer done);
  void Send(const std::string& sql, OnAnswer done);

  // Asks the server to send what it has so far, before the segment ends.
  void RequestFlush();
  // Ends the segment.
  void Sync(OnSync done);

  // Brings the session back to where it was at its start, so that nothing of one user reaches the next. Costs no
  // waiting: later commands may follow at once, and where it fails the connection ends. `find_prepared`: look for
  // statements that a DO block or a procedure may have prepared. `done` runs when all of it is answered.
  void ResetSession(bool find_prepared, OnSync done);
  // The same as part of the segment that is being sent, outside a transaction: it is skipped where that fails. What is
  // not part of it follows with ResetRest().
  void SendReset();
  void ResetRest();

  // The caller has changed what the session keeps under its own names: it cannot be given to anybody else.
  void Taint() { tainted_ = true; }
  bool tainted() const { return tainted_; }

  // Ends it. Every unanswered command is answered kLost with this error.
  void Close(BranchError why);

  const BranchError& why_ended() const { return why_ended_; }

  bool is_ready() const { return state_ == State::kReady; }
  bool has_ended() const { return state_ == State::kEnded; }
  bool is_in_transaction() const;  // as of the last Sync answered
  std::size_t unanswered() const { return pending_.size(); }

  const ServerIdentity& server() const { return server_; }
  const BackendIdentity& backend() const { return backend_; }
  const ServerSettings& server_settings() const { return server_settings_; }

 private:
  // kConnecting: libpq shakes hands. kAsking: what server is it? kReady: for everybody.
  enum class State { kNew, kConnecting, kAsking, kReady, kEnded };

  struct Pending {
    OnAnswer on_answer;
    OnSync on_sync;  // of a Sync, which has no other answer
    bool is_sync = false;
    bool rows = false;
    bool answered = false;
    bool prepares = false;  // prepares `statement`; else runs it
    std::string statement;  // its name in statements_; empty: none
  };

  void PollConnect();
  void WaitForSocket(boost::asio::posix::stream_descriptor::wait_type what, void (Connection::*then)());
  void AssignSocket();
  void ReleaseSocket();
  void AskServer();
  void HandleSettings(const PGresult* result);
  void FindPrepared();
  void SendPrepared(const Command& command, const StatementCache::Use& use, OnAnswer done);

  void Append(Pending pending, int sent);
  void CloseSoon();
  void Flush();
  void OnReadable();
  void OnWritable();
  void ReadAnswers();
  void BeginFront();
  void DeliverToFront(const PGresult* result);
  void DeliverSync();
  void DeliverFailure(const PGresult* result);
  void DeliverLast(Answer answer);
  void NoteStatementFailed(Pending& pending, Answer& answer, const PGresult* result);
  static void OnNotice(void* self, const PGresult* notice);
  std::string LibpqMessage() const;

  LoopTasks& tasks_;
  const Settings settings_;
  Events events_;
  State state_ = State::kNew;
  PGconn* libpq_ = nullptr;
  boost::asio::posix::stream_descriptor socket_;
  std::deque<Pending> pending_;
  StatementCache statements_;
  bool waits_to_write_ = false;
  bool broken_ = false;  // a command could not be sent: it will be closed soon, and no answer fits any more
  bool tainted_ = false;
  bool replicas_unknown_ = false;  // said by a notice about the command at the front
  BranchError why_ended_;
  ServerIdentity server_;
  BackendIdentity backend_;
  ServerSettings server_settings_;
};

}  // namespace assent::postgres
