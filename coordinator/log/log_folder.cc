#include "coordinator/log/log_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/crc32c.h"
#include "coordinator/log/log_format.h"
#include "coordinator/log/synced_mark.h"

namespace assent {
namespace {

constexpr char kLockName[] = "LOCK";
constexpr char kIdentityName[] = "identity";
constexpr char kDatabaseName[] = "log";
constexpr std::string_view kTitle = "assent decision log\n";
constexpr std::string_view kChecksumField = "checksum: ";

absl::Status Damaged(const std::string& path, std::string_view what) {
  return absl::DataLossError(absl::StrCat(path, " is damaged: ", std::string(what)));
}

std::string ChecksumLine(std::string_view lines) {
  return absl::StrFormat("%s%08x\n", std::string(kChecksumField), Crc32c(lines));
}

// Takes the line "name: value" off the front.
std::optional<std::string_view> TakeField(std::string_view& text, std::string_view name) {
  const std::size_t end = text.find('\n');
  if (end == text.npos || !text.starts_with(name) || text.substr(name.size(), 2) != ": ") return std::nullopt;
  const std::string_view value = text.substr(name.size() + 2, end - name.size() - 2);
  text.remove_prefix(end + 1);
  return value;
}

template <typename Integer>
bool ParseWhole(std::string_view text, int base, Integer& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  return error == std::errc() && end == text.data() + text.size();
}

absl::StatusOr<std::uint64_t> RandomIncarnation() {
  std::uint64_t number = 0;
  if (::getrandom(&number, sizeof number, 0) != sizeof number) {
    return absl::UnavailableError("getrandom gave no random bytes for the log's incarnation");
  }
  return number;
}

// The first entry of the folder that an unmade log's folder does not have; empty where there is none.
absl::StatusOr<std::string> FirstForeignEntry(const std::string& path) {
  std::error_code error;
  for (auto entry = std::filesystem::directory_iterator(path, error);
       !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    // lost+found is that of a file system of its own.
    if (name != kLockName && name != absl::StrCat(kIdentityName, ".tmp") && name != "lost+found") return name;
  }
  if (error) return absl::UnavailableError(absl::StrCat("cannot list ", path, ": ", error.message()));
  return std::string();
}

// A folder without an identity is either no log yet, or something that must not be touched.
absl::Status CheckFolderIsUnused(const std::string& path) {
  const absl::StatusOr<std::string> entry = FirstForeignEntry(path);
  if (!entry.ok()) return entry.status();
  if (entry->empty()) return absl::OkStatus();
  if (*entry == kDatabaseName || *entry == SyncedMark::kFileName) {
    return absl::DataLossError(absl::StrCat(path, "/", kIdentityName, " is missing, and ", path, "/", *entry,
                                            " is there: this was a decision log. Restore the whole folder"));
  }
  return absl::FailedPreconditionError(absl::StrCat(path, " is not a decision log: it holds ", *entry, " and no file ",
                                                    kIdentityName, ". Give an empty folder or a new name"));
}

absl::Status MakeFolder(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return absl::UnavailableError(absl::StrCat("cannot make the folder ", path, ": ", error.message()));
  const std::string parent = std::filesystem::absolute(path).lexically_normal().parent_path().string();
  return SyncFolder(parent);
}

std::string HolderOf(int lock) {
  char text[32] = {};
  const ssize_t size = ::pread(lock, text, sizeof text - 1, 0);
  std::string holder(text, size > 0 ? static_cast<std::size_t>(size) : 0);
  while (!holder.empty() && holder.back() == '\n') holder.pop_back();
  return holder.empty() ? "unknown" : holder;
}

bool IsFileAt(int fd, const std::string& path) {
  struct stat opened;
  struct stat named;
  return ::fstat(fd, &opened) == 0 && ::stat(path.c_str(), &named) == 0 && opened.st_dev == named.st_dev &&
         opened.st_ino == named.st_ino;
}

struct HeldLock {
  FileDescriptor file;
  bool made = false;
};

absl::StatusOr<HeldLock> TakeLock(const std::string& folder) {
  const std::string path = folder + "/" + kLockName;
  for (;;) {
    HeldLock lock{.file = FileDescriptor(::open(path.c_str(), O_RDWR | O_CLOEXEC)), .made = false};
    if (!lock.file.open() && errno == ENOENT) {
      lock = {.file = FileDescriptor(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640)), .made = true};
      if (!lock.file.open() && errno == EEXIST) continue;
    }
    if (!lock.file.open()) return FileError("open", path);
    if (::flock(lock.file.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) return FileError("lock", path);
      return absl::FailedPreconditionError(
          absl::StrCat("the data folder ", folder, " is in use by another assentd (process ", HolderOf(lock.file.get()),
                       "): stop it, or give this one another data_dir"));
    }
    // Another process that refused the folder may have removed the file between our open and our lock.
    if (IsFileAt(lock.file.get(), path)) return lock;
  }
}

}  // namespace

std::string LogIdentity::ToText() const {
  std::string text(kTitle);
  absl::StrAppend(&text, "format: ", format, "\n");
  absl::StrAppend(&text, "coordinator: ", coordinator.name, "\n");
  absl::StrAppendFormat(&text, "incarnation: %016x\n", coordinator.incarnation);
  absl::StrAppend(&text, "state: ", state == State::kReady ? "ready" : "creating", "\n");
  return text + ChecksumLine(text);
}

absl::StatusOr<LogIdentity> ParseLogIdentity(const std::string& path, std::string_view text) {
  const std::size_t checksum = text.rfind(kChecksumField);
  if (!text.starts_with(kTitle) || checksum == text.npos) {
    return Damaged(path, "expected \"assent decision log\", and a checksum as the last line");
  }
  if (text.substr(checksum) != ChecksumLine(text.substr(0, checksum))) {
    return Damaged(path, "its checksum is not that of its lines");
  }
  text = text.substr(kTitle.size(), checksum - kTitle.size());

  LogIdentity identity;
  const auto format = TakeField(text, "format");
  if (!format || !ParseWhole(*format, 10, identity.format)) return Damaged(path, "it has no format");
  if (identity.format > log_format::kVersion) {
    return absl::FailedPreconditionError(absl::StrCat(path, ": made by a newer Assent: its format is ", identity.format,
                                                      ", this one knows up to ", log_format::kVersion,
                                                      ". Use that version, or another data_dir"));
  }
  const auto name = TakeField(text, "coordinator");
  const auto incarnation = TakeField(text, "incarnation");
  const auto state = TakeField(text, "state");
  if (!name || !IsCoordinatorName(*name) || !incarnation || !state || !text.empty() ||
      !ParseWhole(*incarnation, 16, identity.coordinator.incarnation)) {
    return Damaged(path, "expected coordinator, incarnation and state");
  }
  identity.coordinator.name = std::string(*name);
  identity.state = *state == "ready" ? LogIdentity::State::kReady : LogIdentity::State::kCreating;
  return identity;
}

LogFolder::LogFolder(std::string path, FileDescriptor lock, bool made_lock)
    : path_(std::move(path)), lock_(std::move(lock)), remove_lock_(made_lock) {}

LogFolder::~LogFolder() {
  if (remove_lock_) ::unlink((path_ + "/" + kLockName).c_str());
}

absl::StatusOr<std::unique_ptr<LogFolder>> LogFolder::Open(const std::string& path, const std::string& coordinator) {
  if (!IsCoordinatorName(coordinator)) {
    return absl::InvalidArgumentError(
        absl::StrCat("coordinator = \"", coordinator, "\": expected 1 to 32 of the characters a-z and 0-9"));
  }
  if (path.empty()) return absl::InvalidArgumentError("data_dir is empty: expected a folder");
  std::error_code error;
  if (!std::filesystem::exists(path, error)) {
    if (absl::Status made = MakeFolder(path); !made.ok()) return made;
  } else if (!std::filesystem::is_directory(path, error)) {
    return absl::FailedPreconditionError(absl::StrCat("data_dir = \"", path, "\" is a file: expected a folder"));
  } else if (!std::filesystem::exists(absl::StrCat(path, "/", kIdentityName), error)) {
    // Before the lock, whose file would be a change.
    if (absl::Status unused = CheckFolderIsUnused(path); !unused.ok()) return unused;
  }
  absl::StatusOr<HeldLock> lock = TakeLock(path);
  if (!lock.ok()) return lock.status();
  std::unique_ptr<LogFolder> folder(new LogFolder(path, std::move(lock->file), lock->made));
  if (absl::Status sound = folder->Inspect(coordinator); !sound.ok()) return sound;
  return folder;
}

absl::Status LogFolder::Inspect(const std::string& coordinator) {
  const std::string identity_path = path_ + "/" + kIdentityName;
  const absl::StatusOr<std::string> text = ReadWholeFile(identity_path);
  if (absl::IsNotFound(text.status())) {
    const absl::StatusOr<std::uint64_t> incarnation = RandomIncarnation();
    if (!incarnation.ok()) return incarnation.status();
    identity_ = {.format = log_format::kVersion,
                 .coordinator = {.name = coordinator, .incarnation = *incarnation},
                 .state = LogIdentity::State::kCreating};
    return absl::OkStatus();
  }
  if (!text.ok()) return text.status();
  const absl::StatusOr<LogIdentity> identity = ParseLogIdentity(identity_path, *text);
  if (!identity.ok()) return identity.status();
  if (identity->coordinator.name != coordinator) {
    return absl::FailedPreconditionError(absl::StrCat(identity_path, ": this is the log of coordinator \"",
                                                      identity->coordinator.name, "\", and not of \"", coordinator,
                                                      "\": give each coordinator a data_dir of its own"));
  }
  identity_ = *identity;
  if (!is_new() && ::access((database_path() + "/CURRENT").c_str(), F_OK) != 0) {
    return absl::DataLossError(absl::StrCat(database_path(), "/CURRENT is missing, and ", identity_path,
                                            " says that a log was made here. Restore the whole folder"));
  }
  return absl::OkStatus();
}

absl::Status LogFolder::BeginCreation() {
  if (absl::Status written = ReplaceFile(path_, kIdentityName, identity_.ToText()); !written.ok()) return written;
  std::error_code error;
  std::filesystem::remove_all(database_path(), error);
  if (!error) std::filesystem::create_directory(database_path(), error);
  if (error) return absl::UnavailableError(absl::StrCat("cannot make ", database_path(), ": ", error.message()));
  return SyncedMark::Create(path_);  // syncs the folder
}

absl::Status LogFolder::EndCreation() {
  identity_.state = LogIdentity::State::kReady;
  return ReplaceFile(path_, kIdentityName, identity_.ToText());
}

absl::Status LogFolder::WriteHolder() {
  remove_lock_ = false;
  const std::string holder = absl::StrCat(::getpid(), "\n");
  if (::ftruncate(lock_.get(), 0) != 0 ||
      ::pwrite(lock_.get(), holder.data(), holder.size(), 0) != static_cast<ssize_t>(holder.size())) {
    return FileError("write", path_ + "/" + kLockName);
  }
  return absl::OkStatus();
}

}  // namespace assent
