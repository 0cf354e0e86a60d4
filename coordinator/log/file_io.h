#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// The few file operations that the decision log does beside RocksDB. Each error names the file and the system's reason.
namespace assent {

// UNAVAILABLE: "cannot <what> <path>: <errno's text>".
absl::Status FileError(std::string_view what, const std::string& path);

// Owns a file descriptor.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;
  ~FileDescriptor();

  bool open() const { return fd_ >= 0; }
  int get() const { return fd_; }

 private:
  int fd_ = -1;
};

// The whole file. NOT_FOUND where it does not exist.
absl::StatusOr<std::string> ReadWholeFile(const std::string& path);

// Makes a folder's entries (files made, renamed, removed) durable.
absl::Status SyncFolder(const std::string& path);

// Replaces the file durably: after a crash it has the old bytes or the new ones.
absl::Status ReplaceFile(const std::string& folder, const std::string& name, std::string_view bytes);

// Cuts a file off behind its first `size` bytes, durably.
absl::Status CutFile(const std::string& path, std::uint64_t size);

}  // namespace assent
