#pragma once

#include <string>
#include <vector>

namespace assent::kafka {

// Runs JavaClient.java on the jars of the broker under test (ASSENT_TEST_JAVA, ASSENT_TEST_KAFKA_LIBS), and gives the
// lines that it writes. A run that fails, fails the test.
std::vector<std::string> RunJavaClient(const std::string& arguments, const std::vector<std::string>& input = {});

}  // namespace assent::kafka
