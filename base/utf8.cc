#include "base/utf8.h"

#include <boost/locale/utf.hpp>

namespace assent {
namespace {

// Moves behind the next character. False: what stands there is none.
bool Next(const char*& at, const char* end) {
  using boost::locale::utf::utf_traits;
  const auto point = utf_traits<char>::decode(at, end);
  return point != boost::locale::utf::illegal && point != boost::locale::utf::incomplete;
}

}  // namespace

bool IsUtf8(std::string_view bytes) {
  const char* at = bytes.data();
  const char* const end = at + bytes.size();
  while (at != end) {
    if (!Next(at, end)) return false;
  }
  return true;
}

std::string WithoutBadUtf8(std::string_view bytes) {
  if (IsUtf8(bytes)) return std::string(bytes);
  std::string text;
  const char* at = bytes.data();
  const char* const end = at + bytes.size();
  while (at != end) {
    const char* const from = at;
    if (Next(at, end)) {
      text.append(from, at);
    } else {
      text += '?';
      at = from + 1;
    }
  }
  return text;
}

}  // namespace assent
