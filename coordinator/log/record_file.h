#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

// Reads the files in which RocksDB keeps records one behind the other: its write-ahead logs and its manifests. The
// format is that of LevelDB: blocks of 32 KiB; in them fragments, each with a header of a masked CRC-32C (4 bytes), a
// length (2 bytes) and a type (1 byte): a whole record, or the first, a middle or the last part of one.
//
// RocksDB's own recovery cannot be asked whether everything is there: whichever mode it is in, some damage to bytes
// that had been synced looks to it like the end of the file (docs/log_format.md, "What RocksDB would not see").
namespace assent {

// How a file ends.
struct RecordFileEnd {
  enum class Kind {
    kWhole,    // with its last record
    kZeros,    // with zeros: space that was given to it ahead
    kTorn,     // with a record that was being written when the machine stopped
    kDamaged,  // with bytes that no interrupted write leaves
  };
  Kind kind = Kind::kWhole;
  std::uint64_t size = 0;        // of the file
  std::uint64_t sound_size = 0;  // up to the end of its last whole record
  std::string what;              // of a damaged file: what was found, and where
};

// Calls `on_record` for each record of `file`, in order; a status from it ends the reading. `trailer` is what every
// record ends with, if there is such a thing: it tells a record that was cut short from one that was damaged. Without
// one (empty), the lengths in the headers tell it, less surely.
absl::StatusOr<RecordFileEnd> ReadRecordFile(std::string_view file, std::string_view trailer,
                                             absl::FunctionRef<absl::Status(std::string_view)> on_record);

}  // namespace assent
