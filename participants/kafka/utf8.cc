#include "participants/kafka/utf8.h"

#include <cstddef>
#include <cstdint>

#include "absl/strings/escaping.h"

namespace assent::kafka {
namespace {

constexpr std::size_t kMostPrinted = 64;

struct Lead {
  std::size_t continuations;
  std::uint32_t bits;
  std::uint32_t least;  // smaller values have a shorter form
};

bool ReadLead(unsigned char byte, Lead& lead) {
  if (byte < 0x80) {
    lead = {0, byte, 1};  // NUL is refused
  } else if ((byte & 0xe0) == 0xc0) {
    lead = {1, byte & 0x1fu, 0x80};
  } else if ((byte & 0xf0) == 0xe0) {
    lead = {2, byte & 0x0fu, 0x800};
  } else if ((byte & 0xf8) == 0xf0) {
    lead = {3, byte & 0x07u, 0x10000};
  } else {
    return false;
  }
  return true;
}

}  // namespace

bool IsUtf8WithoutNul(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    Lead lead;
    if (!ReadLead(static_cast<unsigned char>(text[i++]), lead)) return false;
    if (text.size() - i < lead.continuations) return false;
    std::uint32_t point = lead.bits;
    for (std::size_t n = 0; n < lead.continuations; ++n) {
      const auto byte = static_cast<unsigned char>(text[i++]);
      if ((byte & 0xc0) != 0x80) return false;
      point = (point << 6) | (byte & 0x3fu);
    }
    const bool is_surrogate = point >= 0xd800 && point <= 0xdfff;
    if (point < lead.least || point > 0x10ffff || is_surrogate) return false;
  }
  return true;
}

std::string Printable(std::string_view text) {
  std::string printable = absl::CHexEscape({text.data(), text.size() < kMostPrinted ? text.size() : kMostPrinted});
  if (text.size() > kMostPrinted) printable += "...";
  return printable;
}

}  // namespace assent::kafka
