// Debian's RocksDB is not built for ThreadSanitizer, which therefore sees the memory that it copies and frees, and not
// the atomics that order this. Part of each program that links the log and is built with -fsanitize=thread.
// NOLINTNEXTLINE(bugprone-reserved-identifier): the name is ThreadSanitizer's
extern "C" const char* __tsan_default_suppressions() { return "race:librocksdb.so\n"; }
