// assent: the operator's tool.

#include <grpc/support/log.h>

#include <iostream>

#include "cli/tool.h"

int main(int argc, char** argv) {
  gpr_set_log_function([](gpr_log_func_args*) {});  // the tool says itself what went wrong
  return assent::cli::RunTool(argc, argv, std::cout, std::cerr);
}
