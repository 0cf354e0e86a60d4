#include "cli/table.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace assent::cli {
namespace {

constexpr std::string_view kBetween = "  ";

bool IsContinuation(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

// In characters; every one is taken for one column wide.
std::size_t WidthOf(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char b) { return !IsContinuation(b); }));
}

std::string Cut(const std::string& line, std::size_t width) {
  if (width == 0 || WidthOf(line) <= width) return line;
  std::size_t end = 0;
  for (std::size_t characters = 0; end < line.size(); ++end) {
    if (!IsContinuation(line[end]) && characters++ == width - 1) break;
  }
  return line.substr(0, end) + "…";
}

}  // namespace

std::string Printable(std::string_view text) {
  std::string printable;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    // U+0080 … U+009F, which some terminals obey too, are C2 80 … C2 9F.
    const bool is_c1 = byte == 0xC2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xA0;
    if (is_c1) {
      printable += '?';
      ++i;
    } else if (byte == '\n' || byte == '\t' || byte == '\r') {
      printable += ' ';
    } else {
      printable += byte < 0x20 || byte == 0x7F ? '?' : text[i];
    }
  }
  return printable;
}

Table::Table(std::vector<std::string> titles) : titles_(std::move(titles)) {}

void Table::AddRow(std::vector<std::string> cells) {
  ASSENT_CHECK(cells.size() == titles_.size(), "a row has a cell for each title");
  for (std::string& cell : cells) cell = Printable(cell);
  rows_.push_back(std::move(cells));
}

void Table::Print(std::ostream& out, std::size_t width) const {
  std::vector<std::size_t> widths;
  for (const std::string& title : titles_) widths.push_back(WidthOf(title));
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], WidthOf(row[i]));
  }
  const auto print = [&](const std::vector<std::string>& cells) {
    std::string line;
    for (std::size_t i = 0; i < cells.size(); ++i) {
      line += cells[i];
      if (i + 1 < cells.size()) line.append(widths[i] - WidthOf(cells[i]), ' ').append(kBetween);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out << Cut(line, width) << "\n";
  };
  print(titles_);
  for (const auto& row : rows_) print(row);
}

}  // namespace assent::cli
