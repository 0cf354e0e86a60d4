#include "base/shortened.h"

namespace assent {

std::string Shortened(std::string text, std::size_t most_bytes) {
  if (text.size() <= most_bytes) return text;
  const std::string ellipsis = "…";
  std::size_t end = most_bytes - ellipsis.size();
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  text.resize(end);
  return text + ellipsis;
}

}  // namespace assent
