#include "coordinator/log/file_io.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"

namespace assent {

absl::Status FileError(std::string_view what, const std::string& path) {
  const std::string reason = std::generic_category().message(errno);
  return absl::UnavailableError(absl::StrCat("cannot ", std::string(what), " ", path, ": ", reason));
}

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

FileDescriptor::~FileDescriptor() {
  if (open()) ::close(fd_);
}

absl::StatusOr<std::string> ReadWholeFile(const std::string& path) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.open()) {
    if (errno == ENOENT) return absl::NotFoundError(absl::StrCat("there is no ", path));
    return FileError("open", path);
  }
  struct stat facts;
  if (::fstat(file.get(), &facts) != 0) return FileError("look at", path);
  std::string bytes(static_cast<std::size_t>(facts.st_size), '\0');
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count = ::pread(file.get(), bytes.data() + done, bytes.size() - done, static_cast<off_t>(done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return FileError("read", path);
    if (count == 0) break;
    done += static_cast<std::size_t>(count);
  }
  bytes.resize(done);
  return bytes;
}

absl::Status SyncFolder(const std::string& path) {
  const FileDescriptor folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder.open()) return FileError("open the folder", path);
  if (::fsync(folder.get()) != 0) return FileError("sync the folder", path);
  return absl::OkStatus();
}

absl::Status ReplaceFile(const std::string& folder, const std::string& name, std::string_view bytes) {
  const std::string path = folder + "/" + name;
  const std::string draft = path + ".tmp";
  {
    const FileDescriptor file(::open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640));
    if (!file.open()) return FileError("make", draft);
    while (!bytes.empty()) {
      const ssize_t count = ::write(file.get(), bytes.data(), bytes.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return FileError("write", draft);
      bytes.remove_prefix(static_cast<std::size_t>(count));
    }
    if (::fsync(file.get()) != 0) return FileError("sync", draft);
  }
  if (std::rename(draft.c_str(), path.c_str()) != 0) return FileError("rename to", path);
  return SyncFolder(folder);
}

absl::Status CutFile(const std::string& path, std::uint64_t size) {
  const FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file.open()) return FileError("open", path);
  if (::ftruncate(file.get(), static_cast<off_t>(size)) != 0) return FileError("cut", path);
  if (::fsync(file.get()) != 0) return FileError("sync", path);
  return absl::OkStatus();
}

}  // namespace assent
