#include "tests/integration/own_servers.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "tests/integration/servers.h"

namespace assent::integration {
namespace {

const char* NameOf(ServerKind kind) {
  switch (kind) {
    case ServerKind::kPostgres:
      return "postgres";
    case ServerKind::kKafka:
      return "kafka";
  }
  return "";
}

}  // namespace

OwnServers::OwnServers() : folder_(std::filesystem::temp_directory_path() / UniqueName("servers")) {
  // --hold: they are destroyed when this process is gone, however it ends.
  EXPECT_TRUE(Command("up --hold"));
  postgres_ = Variable("ASSENT_TEST_POSTGRES");
  postgres_admin_ = Variable("ASSENT_TEST_POSTGRES_ADMIN");
  kafka_ = Variable("ASSENT_TEST_KAFKA");
}

OwnServers::~OwnServers() { Command("down --destroy"); }

void OwnServers::Kill(ServerKind kind) const { EXPECT_TRUE(Command(absl::StrCat("stop ", NameOf(kind), " --kill"))); }

void OwnServers::Start(ServerKind kind) const { EXPECT_TRUE(Command(absl::StrCat("start ", NameOf(kind)))); }

bool OwnServers::Command(const std::string& words) const {
  // exec: --hold means the parent of the script, which must be this process and not a shell in between.
  return std::system(absl::StrCat("exec ", LOCAL_SERVERS, " ", words, " --dir ", folder_.string()).c_str()) == 0;
}

std::string OwnServers::Variable(const std::string& name) const {
  FILE* pipe = popen(absl::StrCat(LOCAL_SERVERS, " run --dir ", folder_.string(), " -- printenv ", name).c_str(), "r");
  std::string value;
  for (int character = std::fgetc(pipe); character != EOF; character = std::fgetc(pipe)) {
    if (character != '\n') value += static_cast<char>(character);
  }
  EXPECT_EQ(pclose(pipe), 0) << name;
  return value;
}

}  // namespace assent::integration
