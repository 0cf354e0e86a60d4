// The commands against a server of this process, whose engine answers as a test says.

#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <sstream>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/tool.h"
#include "coordinator/server/server.h"
#include "tests/coordinator/server/fake_engine.h"

namespace assent::cli {
namespace {

using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

class CommandsTest : public testing::Test {
 protected:
  void Serve() {
    auto server = Server::Start({.listen = {"127.0.0.1:0"}}, engine_);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }

  // Runs the tool against it; gives the exit code.
  int RunAssent(std::vector<std::string> words) {
    words.insert(words.begin(), {"assent", "--address", server_->addresses().front()});
    std::vector<const char*> argv;
    for (const std::string& word : words) argv.push_back(word.c_str());
    out_.str("");
    err_.str("");
    return RunTool(static_cast<int>(argv.size()), argv.data(), out_, err_);
  }

  FakeEngine engine_;
  std::unique_ptr<Server> server_;
  std::ostringstream out_;
  std::ostringstream err_;
};

// Seven transactions, "txn-1" to "txn-7", in pages of at most three.
void ListSeven(const v1::ListTransactionsRequest& request, Reply<v1::ListTransactionsResponse> reply) {
  int next = request.page_token().empty() ? 1 : std::stoi(request.page_token());
  v1::ListTransactionsResponse page;
  for (; next <= 7 && page.transactions_size() < std::min(3, request.page_size()); ++next) {
    v1::TransactionDescription& transaction = *page.add_transactions();
    transaction.set_txn_id(absl::StrCat("txn-", next));
    transaction.set_state(v1::STATE_ABORTING);
    transaction.set_request_id("evil \x1b[31m");
    transaction.add_branches()->set_branch("stock\x1b[2J");
  }
  if (next <= 7) page.set_next_page_token(absl::StrCat(next));
  reply(std::move(page));
}

TEST_F(CommandsTest, AllPagesAreOneTable) {
  engine_.on_list = ListSeven;
  Serve();
  EXPECT_EQ(RunAssent({"transactions"}), kDone);
  EXPECT_THAT(out_.str(), AllOf(HasSubstr("txn-1"), HasSubstr("txn-7"), HasSubstr("aborting")));
  EXPECT_THAT(out_.str(), Not(HasSubstr("\x1b"))) << "names from elsewhere do not steer the terminal";
  v1::ListTransactionsResponse all;
  EXPECT_EQ(RunAssent({"transactions", "--json"}), kDone);
  EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(out_.str(), &all).ok()) << out_.str();
  EXPECT_EQ(all.transactions_size(), 7);
  EXPECT_THAT(out_.str(), HasSubstr("\"txn_id\"")) << "the names of the API, as they stand there";
}

TEST_F(CommandsTest, WhatIsLeftOutIsSaid) {
  engine_.on_list = ListSeven;
  Serve();
  EXPECT_EQ(RunAssent({"transactions", "--most", "5"}), kDone);
  EXPECT_THAT(out_.str(), AllOf(HasSubstr("txn-5"), Not(HasSubstr("txn-6"))));
  EXPECT_THAT(err_.str(), HasSubstr("more than these 5"));
}

TEST_F(CommandsTest, TheFilterReachesTheCoordinatorAsItWasWritten) {
  v1::ListTransactionsRequest seen;
  engine_.on_list = [&seen](v1::ListTransactionsRequest request, Reply<v1::ListTransactionsResponse> reply) {
    seen = request;
    reply(v1::ListTransactionsResponse());
  };
  Serve();
  RunAssent({"transactions", "--state", "committing", "--state", "aborting", "--older-than", "1m500ms"});
  EXPECT_THAT(seen.states(), testing::ElementsAre(v1::STATE_COMMITTING, v1::STATE_ABORTING));
  EXPECT_EQ(seen.older_than().seconds(), 60);
  EXPECT_EQ(seen.older_than().nanos(), 500'000'000);
}

TEST_F(CommandsTest, WhatTheCoordinatorRefusesIsAnExitCodeOfItsOwn) {
  for (const auto& [code, exit_code] :
       {std::pair{absl::StatusCode::kNotFound, kNotFound}, std::pair{absl::StatusCode::kFailedPrecondition, kRefused},
        std::pair{absl::StatusCode::kInvalidArgument, kUsage}, std::pair{absl::StatusCode::kUnavailable, kFailed}}) {
    FakeEngine refusing;
    refusing.on_list = [code = code](v1::ListTransactionsRequest, Reply<v1::ListTransactionsResponse> reply) {
      reply(absl::Status(code, "because"));
    };
    auto server = Server::Start({.listen = {"127.0.0.1:0"}}, refusing);
    ASSERT_TRUE(server.ok());
    server_ = *std::move(server);
    EXPECT_EQ(RunAssent({"transactions"}), exit_code) << absl::StatusCodeToString(code);
    EXPECT_THAT(err_.str(), AllOf(HasSubstr("because"), HasSubstr(server_->addresses().front())));
    server_.reset();
  }
}

TEST_F(CommandsTest, WhatIsHiddenStandsWithItsPartition) {
  engine_.on_list_participants = [](v1::ListParticipantsRequest, Reply<v1::ListParticipantsResponse> reply) {
    v1::ListParticipantsResponse listed;
    const auto add = [&](const std::string& name) -> v1::ParticipantDescription& {
      v1::ParticipantDescription& participant = *listed.add_participants();
      participant.set_name(name);
      return participant;
    };
    add("nothing");
    add("away").set_hidden_is_partial(true);
    for (const bool is_partial : {false, true}) {
      v1::ParticipantDescription& participant = add(is_partial ? "partial" : "whole");
      participant.set_hidden(12);
      participant.set_hidden_in("orders[1]");
      participant.set_hidden_is_partial(is_partial);
    }
    reply(std::move(listed));
  };
  Serve();
  EXPECT_EQ(RunAssent({"participants"}), kDone);
  EXPECT_THAT(out_.str(), ContainsRegex("OLDEST +HIDDEN +PREPARED"));
  EXPECT_THAT(out_.str(), ContainsRegex("nothing .* -  +-  +-"));
  EXPECT_THAT(out_.str(), ContainsRegex("away .* -  +\\?  +-"));
  EXPECT_THAT(out_.str(), ContainsRegex("whole .* 12 in orders\\[1\\]  +-"));
  EXPECT_THAT(out_.str(), ContainsRegex("partial .* 12 in orders\\[1\\], or more elsewhere  +-"));
}

TEST_F(CommandsTest, AnOlderCoordinatorIsNamedAsSuch) {
  Serve();
  EXPECT_EQ(RunAssent({"participants"}), kFailed);
  EXPECT_THAT(err_.str(), HasSubstr("does not know this call"));
}

}  // namespace
}  // namespace assent::cli
