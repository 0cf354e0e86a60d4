#include "coordinator/log/synced_mark.h"

#include <fcntl.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/crc32c.h"
#include "coordinator/log/log_format.h"

namespace assent {
namespace {

using log_format::DecodeUint64;
using log_format::EncodeUint64;

// The number and its checksum, 16 bytes: far within one sector, so that a power cut leaves them whole.
std::string Encode(std::uint64_t group_number) {
  const std::string number = EncodeUint64(group_number);
  return number + EncodeUint64(Crc32c(number));
}

}  // namespace

absl::Status SyncedMark::Create(const std::string& folder) { return ReplaceFile(folder, kFileName, Encode(0)); }

absl::StatusOr<std::uint64_t> SyncedMark::Read(const std::string& folder) {
  const std::string path = folder + "/" + kFileName;
  const absl::StatusOr<std::string> bytes = ReadWholeFile(path);
  if (absl::IsNotFound(bytes.status())) {
    return absl::DataLossError(absl::StrCat(path, " is missing: without it nobody knows how far this log once went"));
  }
  if (!bytes.ok()) return bytes.status();
  if (bytes->size() != 16 || Encode(*DecodeUint64(bytes->substr(0, 8))) != *bytes) {
    return absl::DataLossError(absl::StrFormat(
        "%s is damaged: expected 8 bytes and their checksum, found %d bytes that do not agree", path, bytes->size()));
  }
  return *DecodeUint64(bytes->substr(0, 8));
}

absl::StatusOr<std::unique_ptr<SyncedMark>> SyncedMark::Open(const std::string& folder) {
  std::string path = folder + "/" + kFileName;
  FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file.open()) return FileError("open", path);
  return std::unique_ptr<SyncedMark>(new SyncedMark(std::move(path), std::move(file)));
}

absl::Status SyncedMark::Write(std::uint64_t group_number) {
  const std::string bytes = Encode(group_number);
  if (::pwrite(file_.get(), bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    return FileError("write", path_);
  }
  return absl::OkStatus();
}

absl::Status SyncedMark::Sync() {
  if (::fdatasync(file_.get()) != 0) return FileError("sync", path_);
  return absl::OkStatus();
}

}  // namespace assent
