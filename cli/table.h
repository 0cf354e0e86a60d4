#pragma once

#include <cstddef>
#include <ostream>
#include <string>
#include <vector>

namespace assent::cli {

// Text from elsewhere (labels, servers' messages) as one line that cannot steer a terminal: control characters become
// spaces, or '?'.
std::string Printable(std::string_view text);

// Rows for people: a line of titles, then one line each, in columns as wide as they need. Cells are made Printable.
class Table {
 public:
  explicit Table(std::vector<std::string> titles);

  void AddRow(std::vector<std::string> cells);  // as many as titles
  bool empty() const { return rows_.empty(); }

  // Lines longer than `width` characters are cut, with an ellipsis; 0: none is.
  void Print(std::ostream& out, std::size_t width) const;

 private:
  std::vector<std::string> titles_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace assent::cli
