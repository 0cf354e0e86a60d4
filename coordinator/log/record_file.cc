#include "coordinator/log/record_file.h"

#include <algorithm>
#include <cstddef>
#include <optional>

#include "absl/strings/str_cat.h"
#include "base/crc32c.h"

namespace assent {
namespace {

constexpr std::size_t kBlockSize = 32768;
constexpr std::size_t kHeaderSize = 7;
// The smallest unit that a disk writes as a whole.
constexpr std::size_t kSectorSize = 512;

enum FragmentType : unsigned char { kFull = 1, kFirst = 2, kMiddle = 3, kLast = 4 };

struct Fragment {
  FragmentType type = kFull;
  std::string_view payload;
  std::size_t end = 0;  // of the fragment, in the file
};

unsigned char ByteAt(std::string_view bytes, std::size_t at) { return static_cast<unsigned char>(bytes[at]); }

std::uint32_t MaskedCrc(std::string_view type_and_payload) {
  const std::uint32_t crc = Crc32c(type_and_payload);
  return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

std::size_t LeftInBlock(std::size_t offset) { return kBlockSize - offset % kBlockSize; }

bool AllZero(std::string_view bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](char byte) { return byte == 0; });
}

// The checksum covers type and payload, and not the length.
bool ChecksumFits(std::string_view file, std::size_t offset, std::size_t length) {
  std::uint32_t stored = 0;
  for (int i = 3; i >= 0; --i) stored = stored << 8 | ByteAt(file, offset + i);
  return stored == MaskedCrc(file.substr(offset + kHeaderSize - 1, 1 + length));
}

std::size_t LengthAt(std::string_view file, std::size_t offset) {
  return ByteAt(file, offset + 4) | static_cast<std::size_t>(ByteAt(file, offset + 5)) << 8;
}

// The fragment at `offset`; nothing where there is no sound one.
std::optional<Fragment> FragmentAt(std::string_view file, std::size_t offset) {
  const std::size_t room = std::min(LeftInBlock(offset), file.size() - offset);
  if (room < kHeaderSize) return std::nullopt;
  const unsigned char type = ByteAt(file, offset + 6);
  const std::size_t length = LengthAt(file, offset);
  // RocksDB has more types, for recycled and compressed logs: we never ask for those.
  if (type < kFull || type > kLast || length > room - kHeaderSize) return std::nullopt;
  if (!ChecksumFits(file, offset, length)) return std::nullopt;
  return Fragment{.type = static_cast<FragmentType>(type),
                  .payload = file.substr(offset + kHeaderSize, length),
                  .end = offset + kHeaderSize + length};
}

// Walks over a file's fragments and puts records together.
class Reader {
 public:
  explicit Reader(std::string_view file) : file_(file) {}

  // The next record; nothing at the end of what is sound.
  std::optional<std::string_view> Next() {
    record_.clear();
    bool started = false;
    for (;;) {
      const std::optional<Fragment> fragment = TakeFragment();
      // A part that does not continue what came before it stands beside a lost one.
      const bool continues = fragment && (fragment->type == kMiddle || fragment->type == kLast);
      if (!fragment || continues != started) return std::nullopt;
      started = true;
      if (fragment->type == kFull) return Whole(*fragment, fragment->payload);
      record_ += fragment->payload;
      if (fragment->type == kLast) return Whole(*fragment, record_);
    }
  }

  std::size_t sound_size() const { return sound_size_; }  // up to the end of the last record
  std::size_t stopped_at() const { return offset_; }      // the first byte that is in no sound fragment

 private:
  std::optional<Fragment> TakeFragment() {
    const std::size_t left = LeftInBlock(offset_);
    if (left < kHeaderSize) {
      if (!AllZero(file_.substr(offset_, left))) return std::nullopt;
      offset_ = std::min(offset_ + left, file_.size());
    }
    if (offset_ == file_.size()) return std::nullopt;
    const std::optional<Fragment> fragment = FragmentAt(file_, offset_);
    if (fragment) offset_ = fragment->end;
    return fragment;
  }

  std::string_view Whole(const Fragment& last, std::string_view record) {
    sound_size_ = last.end;
    return record;
  }

  const std::string_view file_;
  std::size_t offset_ = 0;
  std::size_t sound_size_ = 0;
  std::string record_;
};

// Where the first record begins that lies wholly behind `offset`. Records are written one after the other, each when
// the one before it is on disk: what lies in front of one was not torn.
std::optional<std::size_t> FindRecordBehind(std::string_view file, std::size_t offset, std::size_t written_size) {
  for (++offset; offset < written_size; ++offset) {
    const std::optional<Fragment> fragment = FragmentAt(file, offset);
    // An empty fragment is too easily found where there is none.
    if (fragment && !fragment->payload.empty() && (fragment->type == kFull || fragment->type == kFirst)) return offset;
  }
  return std::nullopt;
}

// A part of the bytes between `begin` and `end` that was never written: a disk writes the sectors of one write in any
// order, and one that it had not come to reads as zeros.
bool HasUnwrittenSector(std::string_view file, std::size_t begin, std::size_t end) {
  while (begin < end) {
    const std::size_t sector_end = std::min(end, (begin / kSectorSize + 1) * kSectorSize);
    if (AllZero(file.substr(begin, sector_end - begin))) return true;
    begin = sector_end;
  }
  return false;
}

// The bytes end like a record, but for a few bits.
bool EndsLikeATrailer(std::string_view bytes, std::string_view trailer) {
  if (bytes.size() < trailer.size()) return false;
  const std::string_view end = bytes.substr(bytes.size() - trailer.size());
  std::size_t equal = 0;
  for (std::size_t i = 0; i < trailer.size(); ++i) equal += end[i] == trailer[i];
  return equal + 2 >= trailer.size();
}

// Without a trailer: the fragment at `offset` is there up to its end, whatever its header says. `written_size` is where
// the zeros at the end of the file begin, of which the first may be the fragment's.
bool FragmentIsComplete(std::string_view file, std::size_t offset, std::size_t written_size) {
  constexpr std::size_t most_zeros = 16;
  if (offset + kHeaderSize >= written_size || LeftInBlock(offset) < kHeaderSize) return false;
  const std::size_t most = std::min(LeftInBlock(offset), file.size() - offset) - kHeaderSize;
  const std::size_t least = std::min(most, written_size - offset - kHeaderSize);
  if (LengthAt(file, offset) <= least) return true;
  for (std::size_t length = least; length <= std::min(most, least + most_zeros); ++length) {
    if (ChecksumFits(file, offset, length)) return true;
  }
  return false;
}

RecordFileEnd Classify(std::string_view file, std::string_view trailer, const Reader& reader) {
  RecordFileEnd end{
      .kind = RecordFileEnd::Kind::kWhole, .size = file.size(), .sound_size = reader.sound_size(), .what = ""};
  if (end.sound_size == end.size) return end;
  std::size_t written_size = file.size();
  while (written_size > end.sound_size && file[written_size - 1] == 0) --written_size;
  end.kind = written_size == end.sound_size ? RecordFileEnd::Kind::kZeros : RecordFileEnd::Kind::kTorn;
  if (end.kind == RecordFileEnd::Kind::kZeros) return end;

  const std::size_t bad = reader.stopped_at();
  if (const auto next = FindRecordBehind(file, bad, written_size)) {
    end.kind = RecordFileEnd::Kind::kDamaged;
    end.what = absl::StrCat("byte ", bad, " to byte ", *next, " is no record, and a whole record follows");
    return end;
  }
  const std::string_view rest = file.substr(end.sound_size, written_size - end.sound_size);
  const bool complete = trailer.empty() ? FragmentIsComplete(file, bad, written_size) : EndsLikeATrailer(rest, trailer);
  if (complete && !HasUnwrittenSector(file, end.sound_size, written_size)) {
    end.kind = RecordFileEnd::Kind::kDamaged;
    end.what =
        absl::StrCat("its last record, from byte ", end.sound_size, " on, is complete, and its checksum is wrong");
  }
  return end;
}

}  // namespace

absl::StatusOr<RecordFileEnd> ReadRecordFile(std::string_view file, std::string_view trailer,
                                             absl::FunctionRef<absl::Status(std::string_view)> on_record) {
  Reader reader(file);
  while (const std::optional<std::string_view> record = reader.Next()) {
    if (absl::Status seen = on_record(*record); !seen.ok()) return seen;
  }
  return Classify(file, trailer, reader);
}

}  // namespace assent
