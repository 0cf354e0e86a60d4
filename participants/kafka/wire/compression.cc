#include "participants/kafka/wire/compression.h"

#include <lz4frame.h>
#include <snappy.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cstddef>

#include "base/check.h"
#include "participants/kafka/wire/encoder.h"

namespace assent::kafka::wire {
namespace {

// What each library's own tools take by default: the fastest that is worth it.
constexpr int kGzipLevel = Z_DEFAULT_COMPRESSION;
constexpr int kZstdLevel = ZSTD_CLEVEL_DEFAULT;

std::string Gzip(std::string_view records) {
  constexpr int kGzipFrame = 15 + 16;  // the largest window, in gzip's frame instead of zlib's
  constexpr int kMemoryLevel = 8;      // zlib's default
  z_stream stream{};
  ASSENT_CHECK(deflateInit2(&stream, kGzipLevel, Z_DEFLATED, kGzipFrame, kMemoryLevel, Z_DEFAULT_STRATEGY) == Z_OK,
               "zlib has memory");
  std::string out(deflateBound(&stream, records.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(records.data()));
  stream.avail_in = static_cast<uInt>(records.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  ASSENT_CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END, "deflateBound() is room enough");
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string Snappy(std::string_view records) {
  constexpr std::string_view kMagic("\x82SNAPPY\0", 8);
  constexpr std::int32_t kVersion = 1;
  constexpr std::size_t kBlockBytes = 32 << 10;  // as snappy-java's
  Encoder out;
  out.Reserve(16 + snappy::MaxCompressedLength(records.size()));
  out.Raw(kMagic);
  out.Int32(kVersion);
  out.Int32(kVersion);  // the oldest that reads it
  std::string block;
  for (std::size_t at = 0; at < records.size(); at += kBlockBytes) {
    const std::string_view part = records.substr(at, kBlockBytes);
    snappy::Compress(part.data(), part.size(), &block);
    out.Int32(static_cast<std::int32_t>(block.size()));
    out.Raw(block);
  }
  return std::move(out).Take();
}

std::string Lz4(std::string_view records) {
  LZ4F_preferences_t preferences{};
  preferences.frameInfo.blockMode = LZ4F_blockIndependent;  // the Java client reads no other
  preferences.frameInfo.blockSizeID = LZ4F_max64KB;
  std::string out(LZ4F_compressFrameBound(records.size(), &preferences), '\0');
  const std::size_t size = LZ4F_compressFrame(out.data(), out.size(), records.data(), records.size(), &preferences);
  ASSENT_CHECK(LZ4F_isError(size) == 0, "LZ4F_compressFrameBound() is room enough");
  out.resize(size);
  return out;
}

std::string Zstd(std::string_view records) {
  std::string out(ZSTD_compressBound(records.size()), '\0');
  const std::size_t size = ZSTD_compress(out.data(), out.size(), records.data(), records.size(), kZstdLevel);
  ASSENT_CHECK(ZSTD_isError(size) == 0, "ZSTD_compressBound() is room enough");
  out.resize(size);
  return out;
}

}  // namespace

std::optional<Compression> ParseCompression(std::string_view name) {
  if (name == "none") return Compression::kNone;
  if (name == "gzip") return Compression::kGzip;
  if (name == "snappy") return Compression::kSnappy;
  if (name == "lz4") return Compression::kLz4;
  if (name == "zstd") return Compression::kZstd;
  return std::nullopt;
}

std::string Compress(Compression compression, std::string_view records) {
  switch (compression) {
    case Compression::kNone:
      return std::string(records);
    case Compression::kGzip:
      return Gzip(records);
    case Compression::kSnappy:
      return Snappy(records);
    case Compression::kLz4:
      return Lz4(records);
    case Compression::kZstd:
      return Zstd(records);
  }
  ASSENT_CHECK(false, "no other compression is defined");
}

}  // namespace assent::kafka::wire
