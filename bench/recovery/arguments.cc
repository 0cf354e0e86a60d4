#include "bench/recovery/arguments.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "absl/strings/str_cat.h"

namespace assent::bench_recovery {

Arguments::Arguments(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const std::size_t equals = argument.find('=');
    if (equals != std::string::npos) given_[argument.substr(0, equals)] = argument.substr(equals + 1);
  }
}

const std::string& Arguments::Text(const std::string& name) const {
  const auto found = given_.find(name);
  if (found == given_.end()) GiveUp(absl::StrCat(name, "=… is missing: bench/run.sh recovery runs this program"));
  return found->second;
}

int Arguments::Number(const std::string& name) const { return std::atoi(Text(name).c_str()); }

void GiveUp(const std::string& why) {
  std::fprintf(stderr, "%s\n", why.c_str());
  // Without destructors: other threads may be anywhere.
  _exit(1);
}

}  // namespace assent::bench_recovery
