#include "tests/fuzz/allocations.h"

#include <sanitizer/allocator_interface.h>

#include "base/check.h"

// What UndefinedBehaviorSanitizer sees is a failure, as what AddressSanitizer sees: it would only print it.
// NOLINTNEXTLINE(bugprone-reserved-identifier): the sanitizer's name for it
extern "C" const char* __ubsan_default_options() { return "halt_on_error=1:print_stacktrace=1"; }

namespace assent {
namespace {

thread_local std::size_t allocated_bytes = 0;

void OnMalloc(const volatile void*, std::size_t bytes) { allocated_bytes += bytes; }
void OnFree(const volatile void*) {}

}  // namespace

Allocations::Allocations() : before_(allocated_bytes) {
  static const int installed = __sanitizer_install_malloc_and_free_hooks(OnMalloc, OnFree);
  ASSENT_CHECK(installed != 0, "allocations cannot be counted");
}

std::size_t Allocations::bytes() const { return allocated_bytes - before_; }

}  // namespace assent
