#include <unistd.h>

#include <atomic>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "base/failpoint.h"

namespace assent {
namespace {

// ASSENT_FAILPOINT=NAME:N ends the process the Nth time that the failpoint is reached.
struct Armed {
  Armed() {
    const char* const set = std::getenv("ASSENT_FAILPOINT");
    if (set == nullptr) return;
    const std::string_view text(set);
    const std::size_t colon = text.find(':');
    const std::string_view name = text.substr(0, colon);
    for (int i = 0; i < kFailpoints; ++i) {
      if (Name(static_cast<Failpoint>(i)) == name) failpoint = i;
    }
    const char* const end = text.data() + text.size();
    int times = 0;
    const bool has_times =
        colon != std::string_view::npos && std::from_chars(text.data() + colon + 1, end, times).ptr == end && times > 0;
    if (failpoint < 0 || !has_times) {
      std::fprintf(stderr, "ASSENT_FAILPOINT=%s is no NAME:N with a name of base/failpoint.cc\n", set);
      ::_exit(EXIT_FAILURE);
    }
    left = times;
  }

  int failpoint = -1;
  std::atomic<int> left = 0;
};

Armed armed;

}  // namespace

void HitFailpoint(Failpoint failpoint) {
  if (static_cast<int>(failpoint) != armed.failpoint || --armed.left != 0) return;
  // By no handler, no destructor, no flush.
  ::kill(::getpid(), SIGKILL);
}

}  // namespace assent
