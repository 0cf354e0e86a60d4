#pragma once

namespace assent {

// Ends the process with where and what: for states that only a bug of ours can reach, never for bad input.
[[noreturn]] void CheckFailed(const char* file, int line, const char* condition, const char* message);

}  // namespace assent

// Checked in every build, also in release: going on with a broken invariant could tear a transaction.
#define ASSENT_CHECK(condition, message)                              \
  do {                                                                \
    if (!(condition)) [[unlikely]]                                    \
      ::assent::CheckFailed(__FILE__, __LINE__, #condition, message); \
  } while (false)
