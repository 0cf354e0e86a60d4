#include "tests/participants/kafka/java_client.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace assent::kafka {

std::vector<std::string> RunJavaClient(const std::string& arguments, const std::vector<std::string>& input) {
  const char* const java = std::getenv("ASSENT_TEST_JAVA");
  const char* const libraries = std::getenv("ASSENT_TEST_KAFKA_LIBS");
  if (java == nullptr || libraries == nullptr) {
    ADD_FAILURE() << "ASSENT_TEST_JAVA and ASSENT_TEST_KAFKA_LIBS are not set: where Java and Kafka's jars are";
    return {};
  }
  std::string name = (std::filesystem::temp_directory_path() / "assent-java-input-XXXXXX").string();
  const int file = mkstemp(name.data());
  EXPECT_GE(file, 0);
  {
    std::ofstream out(name);
    for (const std::string& line : input) out << line << "\n";
  }
  const std::string command = absl::StrCat("'", java, "' -cp '", libraries, "/*' '", JAVA_CLIENT, "' ", arguments,
                                           " <'", name, "' 2>'", name, ".err'");
  FILE* const pipe = popen(command.c_str(), "r");
  std::string output;
  for (int character = std::fgetc(pipe); character != EOF; character = std::fgetc(pipe)) {
    output += static_cast<char>(character);
  }
  if (pclose(pipe) != 0) {
    std::ifstream errors(name + ".err");
    ADD_FAILURE() << command << " failed: " << std::string(std::istreambuf_iterator<char>(errors), {});
  }
  std::filesystem::remove(name);
  std::filesystem::remove(name + ".err");
  return absl::StrSplit(output, '\n', absl::SkipEmpty());
}

}  // namespace assent::kafka
