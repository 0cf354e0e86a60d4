#include "coordinator/server/server.h"

#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <future>
#include <memory>
#include <string>
#include <thread>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "assent/v1/admin.grpc.pb.h"
#include "assent/v1/coordinator.grpc.pb.h"
#include "tests/coordinator/server/fake_engine.h"
#include "tests/coordinator/server/test_certificates.h"

namespace assent {
namespace {

using testing::HasSubstr;

// A folder of its own, removed with its files.
class ServerTest : public testing::Test {
 protected:
  ServerTest() {
    std::string name = testing::TempDir() + "/assent_server_XXXXXX";
    folder_ = mkdtemp(name.data());
  }
  ~ServerTest() override {
    server_.reset();
    for (const std::string& file : files_) unlink(file.c_str());
    rmdir(folder_.c_str());
  }

  std::string Write(const std::string& name, const std::string& text) {
    std::string path = folder_ + "/" + name;
    std::ofstream(path) << text;
    files_.push_back(path);
    return path;
  }

  void Serve(ServerOptions options) {
    if (options.listen.empty()) options.listen = {"127.0.0.1:0"};
    auto server = Server::Start(options, engine_);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }

  std::unique_ptr<v1::Coordinator::Stub> Stub(
      const std::shared_ptr<grpc::ChannelCredentials>& credentials = grpc::InsecureChannelCredentials()) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // each test connects anew
    return v1::Coordinator::NewStub(grpc::CreateCustomChannel(server_->addresses().front(), credentials, arguments));
  }

  void ExpectShortenedAbort(const std::string& long_message);

  std::string folder_;
  std::vector<std::string> files_;
  FakeEngine engine_;
  std::unique_ptr<Server> server_;
};

void AnswerBegin(v1::BeginRequest request, Reply<v1::BeginResponse> reply) {
  v1::BeginResponse response;
  response.set_txn_id("for " + request.request_id());
  reply(std::move(response));
}

absl::Status Failed(absl::StatusCode code, const std::string& message) {
  v1::TransactionFailure failure;
  failure.set_txn_id("orders-0-1-0-7");
  failure.set_outcome(v1::ABORTED);
  failure.set_sqlstate("23514");
  failure.set_reason(message);
  absl::Status status(code, message);
  status.SetPayload(kFailureUrl, absl::Cord(failure.SerializeAsString()));
  return status;
}

// A call as bytes: what no generated client would send, or of a service that Debian ships no client for.
grpc::Status CallByName(const std::string& address, const std::string& method, const std::string& request,
                        std::string* answer) {
  grpc::GenericStub stub(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  grpc::CompletionQueue queue;
  auto call = stub.PrepareCall(&context, method, &queue);
  void* tag = nullptr;
  bool ok = false;
  const auto next = [&] { queue.Next(&tag, &ok); };
  call->StartCall(nullptr);
  next();
  const grpc::Slice slice(request);
  call->WriteLast(grpc::ByteBuffer(&slice, 1), grpc::WriteOptions(), nullptr);
  next();
  grpc::ByteBuffer buffer;
  call->Read(&buffer, nullptr);
  next();
  if (ok) {
    std::vector<grpc::Slice> slices;
    (void)buffer.Dump(&slices);
    for (const grpc::Slice& part : slices) answer->append(reinterpret_cast<const char*>(part.begin()), part.size());
  }
  grpc::Status status;
  call->Finish(&status, nullptr);
  next();
  queue.Shutdown();
  while (queue.Next(&tag, &ok)) continue;
  return status;
}

grpc::Status Begin(v1::Coordinator::Stub& stub, v1::BeginResponse* response) {
  grpc::ClientContext context;
  v1::BeginRequest request;
  request.set_request_id("r1");
  return stub.Begin(&context, request, response);
}

TEST_F(ServerTest, ACallReachesTheEngineAndItsAnswerTheCaller) {
  engine_.on_begin = AnswerBegin;
  Serve({});
  v1::BeginResponse response;
  const grpc::Status status = Begin(*Stub(), &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.txn_id(), "for r1");
}

TEST_F(ServerTest, PortZeroIsReportedAsTheOneThatWasBound) {
  Serve({});
  EXPECT_NE(server_->addresses().front(), "127.0.0.1:0");
  EXPECT_EQ(server_->addresses().front().rfind("127.0.0.1:", 0), 0u);
}

TEST_F(ServerTest, EveryAddressIsServed) {
  engine_.on_begin = AnswerBegin;
  const std::string socket = "unix:" + folder_ + "/assentd.sock";
  files_.push_back(folder_ + "/assentd.sock");
  Serve({.listen = {"127.0.0.1:0", socket}, .tls = {}});
  ASSERT_EQ(server_->addresses().size(), 2u);
  EXPECT_EQ(server_->addresses()[1], socket);
  v1::BeginResponse response;
  const auto stub = v1::Coordinator::NewStub(grpc::CreateChannel(socket, grpc::InsecureChannelCredentials()));
  EXPECT_TRUE(Begin(*stub, &response).ok());
}

TEST_F(ServerTest, AUnixSocketThatIsServedIsNotTakenAwayAndALeftOverOneIs) {
  engine_.on_begin = AnswerBegin;
  const std::string socket = "unix:" + folder_ + "/assentd.sock";
  files_.push_back(folder_ + "/assentd.sock");
  Serve({.listen = {socket}, .tls = {}});
  const absl::Status second = Server::Start({.listen = {socket}, .tls = {}}, engine_).status();
  EXPECT_EQ(second.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(second.message()), HasSubstr(socket + ": another process does"));
  v1::BeginResponse response;
  EXPECT_TRUE(Begin(*Stub(), &response).ok());

  server_.reset();
  const int left_over = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  (folder_ + "/assentd.sock").copy(address.sun_path, sizeof(address.sun_path) - 1);
  ASSERT_EQ(bind(left_over, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  close(left_over);
  Serve({.listen = {socket}, .tls = {}});
  EXPECT_TRUE(Begin(*Stub(), &response).ok());
}

TEST_F(ServerTest, ARefusedSubmitIsLookedUpByItsRequestId) {
  Serve({.listen = {}, .tls = {}, .max_request_bytes = 1000, .max_operations = 3});
  const auto stub = Stub();
  const auto refused = [&](const v1::SubmitRequest& request) {
    grpc::ClientContext context;
    v1::SubmitResponse response;
    engine_.refused.Clear();
    const grpc::Status status = stub->Submit(&context, request, &response);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
    return status.error_message();
  };
  v1::SubmitRequest large;
  large.set_request_id("r1");
  (*large.mutable_labels())["filler"] = std::string(2000, 'x');
  EXPECT_THAT(refused(large), HasSubstr("max_request_bytes = 1000"));
  EXPECT_EQ(engine_.refused.request_id(), "r1");

  v1::SubmitRequest many;
  many.set_request_id("r2");
  v1::SubmitBranch& branch = *many.add_branches();
  branch.add_operations();
  v1::SqlStatement& statement = *branch.add_operations()->mutable_sql()->add_statements();
  for (int run = 0; run < 3; ++run) statement.add_parameter_sets();
  EXPECT_THAT(refused(many), HasSubstr("4 operations, more than transactions.max_operations = 3"));
  EXPECT_EQ(engine_.refused.request_id(), "r2");
}

TEST_F(ServerTest, AnAddressInUseIsRefusedByName) {
  Serve({});
  const auto second = Server::Start({.listen = server_->addresses(), .tls = {}}, engine_);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr(server_->addresses().front()));
}

// ---- Statuses -------------------------------------------------------------------------------------------------------

TEST_F(ServerTest, EveryCodeArrivesAsItself) {
  absl::StatusCode code = absl::StatusCode::kOk;
  engine_.on_begin = [&](v1::BeginRequest, Reply<v1::BeginResponse> reply) { reply(absl::Status(code, "why")); };
  Serve({});
  const auto stub = Stub();
  for (int number = 1; number <= 16; ++number) {
    code = static_cast<absl::StatusCode>(number);
    v1::BeginResponse response;
    const grpc::Status status = Begin(*stub, &response);
    EXPECT_EQ(static_cast<int>(status.error_code()), number);
    EXPECT_EQ(status.error_message(), "why");
    EXPECT_EQ(status.error_details(), "") << "no transaction was spoken of";
  }
}

TEST_F(ServerTest, TheFailureOfATransactionIsInTheDetails) {
  engine_.on_commit = [](v1::CommitRequest, Reply<v1::CommitResponse> reply) {
    reply(Failed(absl::StatusCode::kAborted, "violates check constraint"));
  };
  Serve({});
  grpc::ClientContext context;
  v1::CommitResponse response;
  const grpc::Status status = Stub()->Commit(&context, {}, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::ABORTED);
  v1::StatusDetails details;
  ASSERT_TRUE(details.ParseFromString(status.error_details()));
  EXPECT_EQ(details.code(), 10);
  EXPECT_EQ(details.message(), "violates check constraint");
  ASSERT_EQ(details.details_size(), 1);
  EXPECT_EQ(details.details(0).type_url(), "type.googleapis.com/assent.v1.TransactionFailure");
  v1::TransactionFailure failure;
  ASSERT_TRUE(failure.ParseFromString(details.details(0).value()));
  EXPECT_EQ(failure.sqlstate(), "23514");
  EXPECT_EQ(failure.outcome(), v1::ABORTED);
}

void ServerTest::ExpectShortenedAbort(const std::string& long_message) {
  engine_.on_commit = [&](v1::CommitRequest, Reply<v1::CommitResponse> reply) {
    reply(Failed(absl::StatusCode::kAborted, long_message));
  };
  Serve({});
  grpc::ClientContext context;
  v1::CommitResponse response;
  const grpc::Status status = Stub()->Commit(&context, {}, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::ABORTED) << status.error_message();
  v1::StatusDetails details;
  ASSERT_TRUE(details.ParseFromString(status.error_details())) << "the cut must leave UTF-8 behind";
  v1::TransactionFailure failure;
  ASSERT_TRUE(failure.ParseFromString(details.details(0).value()));
  EXPECT_EQ(failure.outcome(), v1::ABORTED);
  EXPECT_THAT(failure.reason(), HasSubstr("größer"));
}

// A trailer over gRPC's bound would turn ABORTED into RESOURCE_EXHAUSTED, and the caller would not know.
TEST_F(ServerTest, AnAbortWithAVeryLongMessageStillArrivesAsAnAbort) {
  std::string long_message;
  while (long_message.size() < 100'000) long_message += "größer ";
  for (int shift = 0; shift < 9; ++shift) {
    SCOPED_TRACE(shift);  // one of them would cut inside of a character
    long_message.insert(0, "x");
    ExpectShortenedAbort(long_message);
  }
}

// ---- Bounds ---------------------------------------------------------------------------------------------------------

TEST_F(ServerTest, ATooLargeRequestIsRefusedWithTheNameOfTheBound) {
  bool reached = false;
  engine_.on_submit = [&](v1::SubmitRequest, Reply<v1::SubmitResponse> reply) {
    reached = true;
    reply(v1::SubmitResponse());
  };
  Serve({.listen = {}, .tls = {}, .max_request_bytes = 10'000});
  const auto stub = Stub();
  const auto submit = [&](std::size_t bytes) {
    v1::SubmitRequest request;
    (*request.mutable_labels())["filler"] = std::string(bytes, 'x');
    grpc::ClientContext context;
    v1::SubmitResponse response;
    return stub->Submit(&context, request, &response);
  };
  const grpc::Status little = submit(11'000);
  EXPECT_EQ(little.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(little.error_message(), HasSubstr("transactions.max_request_bytes = 10000"));
  EXPECT_EQ(submit(3'000'000).error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED) << "by gRPC's own bound";
  EXPECT_FALSE(reached);
  EXPECT_TRUE(submit(9'000).ok());
  v1::ExecuteRequest execute;
  execute.mutable_operation()->mutable_sql()->add_statements()->set_sql(std::string(11'000, 'x'));
  grpc::ClientContext context;
  v1::ExecuteResponse response;
  EXPECT_EQ(stub->Execute(&context, execute, &response).error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
}

TEST_F(ServerTest, ACallOverTheBoundIsUnavailableAndNamesIt) {
  std::promise<Reply<v1::CommitResponse>> held;
  engine_.on_commit = [&](v1::CommitRequest, Reply<v1::CommitResponse> reply) { held.set_value(std::move(reply)); };
  engine_.on_begin = AnswerBegin;
  Serve({.listen = {}, .tls = {}, .max_calls = 1});
  const auto stub = Stub();
  auto outcome = std::async(std::launch::async, [&] {
    grpc::ClientContext context;
    v1::CommitResponse response;
    return stub->Commit(&context, {}, &response);
  });
  auto reply = held.get_future().get();
  v1::BeginResponse response;
  const grpc::Status refused = Begin(*stub, &response);
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(refused.error_message(), HasSubstr("max_calls = 1"));
  reply(v1::CommitResponse());
  EXPECT_TRUE(outcome.get().ok());
  grpc::Status next = Begin(*stub, &response);
  // The first call is counted until gRPC has let go of it, a moment after its answer has arrived.
  while (next.error_code() == grpc::StatusCode::UNAVAILABLE) next = Begin(*stub, &response);
  EXPECT_TRUE(next.ok()) << "the ended call makes room";
}

// ---- Waiting --------------------------------------------------------------------------------------------------------

TEST_F(ServerTest, ManyCallsWaitWithoutAThreadEach) {
  const int calls = 200;
  std::mutex mutex;
  std::vector<Reply<v1::CommitResponse>> waiting;
  std::promise<void> all_wait;
  engine_.on_commit = [&](v1::CommitRequest, Reply<v1::CommitResponse> reply) {
    const std::lock_guard lock(mutex);
    waiting.push_back(std::move(reply));
    if (waiting.size() == calls) all_wait.set_value();
  };
  Serve({});
  const auto stub = Stub();
  std::atomic<int> committed = 0;
  std::promise<void> all_done;
  std::vector<grpc::ClientContext> contexts(calls);
  std::vector<v1::CommitResponse> responses(calls);
  const v1::CommitRequest request;
  for (int i = 0; i < calls; ++i) {
    stub->async()->Commit(&contexts[i], &request, &responses[i], [&](const grpc::Status& status) {
      EXPECT_TRUE(status.ok()) << status.error_message();
      if (++committed == calls) all_done.set_value();
    });
  }
  ASSERT_EQ(all_wait.get_future().wait_for(std::chrono::seconds(60)), std::future_status::ready)
      << "a handler that blocks would stop the others";
  for (auto& reply : waiting) reply(v1::CommitResponse());
  all_done.get_future().wait();
}

TEST_F(ServerTest, ACallerThatStopsWaitingGetsItsAnswerFromNobodyAndTheEngineMayStillReply) {
  std::promise<Reply<v1::CommitResponse>> held;
  engine_.on_commit = [&](v1::CommitRequest, Reply<v1::CommitResponse> reply) { held.set_value(std::move(reply)); };
  Serve({});
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(100));
  v1::CommitResponse response;
  EXPECT_EQ(Stub()->Commit(&context, {}, &response).error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  auto reply = held.get_future().get();
  server_->Stop(absl::Seconds(10));  // would wait for the call, were it still in progress
  reply(v1::CommitResponse());
}

TEST_F(ServerTest, AStopEndsTheCallsThatDoNotFinishInTime) {
  std::promise<Reply<v1::CommitResponse>> held;
  engine_.on_commit = [&](v1::CommitRequest, Reply<v1::CommitResponse> reply) { held.set_value(std::move(reply)); };
  Serve({});
  auto outcome = std::async(std::launch::async, [stub = Stub()] {
    grpc::ClientContext context;
    v1::CommitResponse response;
    return stub->Commit(&context, {}, &response);
  });
  auto reply = held.get_future().get();
  server_->Stop(absl::Milliseconds(50));
  const grpc::StatusCode code = outcome.get().error_code();
  EXPECT_TRUE(code == grpc::StatusCode::CANCELLED || code == grpc::StatusCode::UNAVAILABLE) << code;
}

TEST_F(ServerTest, AStopDoesNotWaitForCallersThatAreMerelyConnected) {
  engine_.on_begin = AnswerBegin;
  Serve({});
  const auto stub = Stub();
  v1::BeginResponse response;
  ASSERT_TRUE(Begin(*stub, &response).ok());
  const absl::Time before = absl::Now();
  server_->Stop(absl::Seconds(30));
  EXPECT_LT(absl::Now() - before, absl::Seconds(20));
}

TEST_F(ServerTest, AStopLetsCallsInProgressFinish) {
  std::promise<Reply<v1::CommitResponse>> held;
  engine_.on_commit = [&](v1::CommitRequest, Reply<v1::CommitResponse> reply) { held.set_value(std::move(reply)); };
  Serve({});
  auto outcome = std::async(std::launch::async, [stub = Stub()] {
    grpc::ClientContext context;
    v1::CommitResponse response;
    return stub->Commit(&context, {}, &response);
  });
  auto reply = held.get_future().get();
  auto stopping = std::async(std::launch::async, [&] { server_->Stop(absl::Seconds(60)); });
  reply(v1::CommitResponse());
  EXPECT_TRUE(outcome.get().ok());
  stopping.get();
}

// ---- Other services -------------------------------------------------------------------------------------------------

TEST_F(ServerTest, AdminIsServed) {
  engine_.on_list = [](v1::ListTransactionsRequest, Reply<v1::ListTransactionsResponse> reply) {
    v1::ListTransactionsResponse response;
    response.set_next_page_token("more");
    reply(std::move(response));
  };
  Serve({});
  const auto stub =
      v1::Admin::NewStub(grpc::CreateChannel(server_->addresses().front(), grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  v1::ListTransactionsResponse response;
  ASSERT_TRUE(stub->ListTransactions(&context, {}, &response).ok());
  EXPECT_EQ(response.next_page_token(), "more");
}

TEST_F(ServerTest, HealthSaysServing) {
  Serve({});
  const std::string whole_server;
  const std::string by_service = std::string("\x0a\x15", 2) + "assent.v1.Coordinator";  // field 1, 21 bytes
  for (const std::string& asked : {whole_server, by_service}) {
    std::string answer;
    ASSERT_TRUE(CallByName(server_->addresses().front(), "/grpc.health.v1.Health/Check", asked, &answer).ok());
    EXPECT_EQ(answer, std::string("\x08\x01")) << "field 1, SERVING";
  }
}

TEST_F(ServerTest, WhatCannotBeParsedIsRefusedWithAReasonInEveryCall) {
  Serve({});
  const std::string cut_short = "\x0a\x09orders";  // a field of 9 bytes, and 6 of them
  for (const std::string method :
       {"Coordinator/Begin", "Coordinator/Enlist", "Coordinator/Execute", "Coordinator/Commit", "Coordinator/Abort",
        "Coordinator/Submit", "Coordinator/GetTransaction", "Admin/ListTransactions", "Admin/DescribeTransaction"}) {
    std::string answer;
    const grpc::Status status = CallByName(server_->addresses().front(), "/assent.v1." + method, cut_short, &answer);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << method << ": " << status.error_message();
    EXPECT_THAT(status.error_message(), HasSubstr("not UTF-8")) << method;
  }
}

TEST_F(ServerTest, ReflectionListsTheServices) {
  Serve({});
  std::string answer;
  const std::string list_services("\x3a\x00", 2);  // field 7, an empty text
  const grpc::Status status =
      CallByName(server_->addresses().front(), "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
                 list_services, &answer);
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_THAT(answer, HasSubstr("assent.v1.Coordinator"));
  EXPECT_THAT(answer, HasSubstr("assent.v1.Admin"));
}

// ---- TLS ------------------------------------------------------------------------------------------------------------

class TlsTest : public ServerTest {
 protected:
  TlsFiles Files(bool ask_clients) {
    const TestCertificate server = authority_.Sign("localhost");
    return {.certificate = Write("server.crt", server.certificate),
            .key = Write("server.key", server.key),
            .client_ca = ask_clients ? Write("clients.crt", authority_.certificate()) : ""};
  }

  grpc::Status BeginWith(const TestCertificate& client, const std::string& server_authority) {
    grpc::SslCredentialsOptions options;
    options.pem_root_certs = server_authority;
    options.pem_cert_chain = client.certificate;
    options.pem_private_key = client.key;
    v1::BeginResponse response;
    return Begin(*Stub(grpc::SslCredentials(options)), &response);
  }

  TestAuthority authority_{"assent tests"};
  TestAuthority stranger_{"somebody else"};
};

TEST_F(TlsTest, AClientThatKnowsTheServersAuthorityIsServed) {
  engine_.on_begin = AnswerBegin;
  Serve({.listen = {}, .tls = Files(false)});
  EXPECT_TRUE(BeginWith({}, authority_.certificate()).ok());
}

TEST_F(TlsTest, AClientThatDoesNotKnowTheServersAuthorityRefusesTheServer) {
  engine_.on_begin = AnswerBegin;
  Serve({.listen = {}, .tls = Files(false)});
  EXPECT_EQ(BeginWith({}, stranger_.certificate()).error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(TlsTest, AClientWithoutTlsIsRefused) {
  engine_.on_begin = AnswerBegin;
  Serve({.listen = {}, .tls = Files(false)});
  v1::BeginResponse response;
  EXPECT_FALSE(Begin(*Stub(), &response).ok());
}

TEST_F(TlsTest, AClientMustShowACertificateWhereOneIsAskedFor) {
  engine_.on_begin = AnswerBegin;
  Serve({.listen = {}, .tls = Files(true)});
  EXPECT_TRUE(BeginWith(authority_.Sign("a client"), authority_.certificate()).ok());
  EXPECT_EQ(BeginWith({}, authority_.certificate()).error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(BeginWith(stranger_.Sign("a client"), authority_.certificate()).error_code(),
            grpc::StatusCode::UNAVAILABLE);
}

TEST_F(TlsTest, AKeyOfAnotherCertificateIsRefusedByName) {
  TlsFiles files = Files(false);
  files.key = Write("other.key", authority_.Sign("elsewhere").key);
  const absl::Status refused = ReadTlsFiles(files).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("other.key does not belong to"));
  files.key = files.certificate;
  EXPECT_THAT(std::string(ReadTlsFiles(files).status().message()), HasSubstr("holds no private key"));
}

TEST_F(TlsTest, AFileThatIsNoPemIsRefusedByName) {
  const TlsFiles files{.certificate = Write("bad.crt", "nonsense"), .key = "", .client_ca = ""};
  const auto server = Server::Start({.listen = {"127.0.0.1:0"}, .tls = files}, engine_);
  EXPECT_EQ(server.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(server.status().message()), HasSubstr("bad.crt"));
}

}  // namespace
}  // namespace assent
