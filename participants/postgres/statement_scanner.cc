#include "participants/postgres/statement_scanner.h"

#include <algorithm>
#include <array>

#include "absl/strings/ascii.h"

namespace assent::postgres {
namespace {

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v'; }

bool StartsWord(char c) { return absl::ascii_isalpha(c) || c == '_' || static_cast<unsigned char>(c) >= 0x80; }

bool ContinuesWord(char c) { return StartsWord(c) || absl::ascii_isdigit(c) || c == '$'; }

// Walks a statement from word to word.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  // Skips what may stand before a statement: blanks, comments, empty statements, and parentheses around a query.
  void SkipToStatement() {
    do {
      SkipBlanks();
    } while (SkipOne(';') || SkipOne('('));
  }

  // The word that comes next, in upper case; empty where none does.
  std::string Word() {
    SkipBlanks();
    if (rest_.empty() || !StartsWord(rest_.front())) return "";
    std::size_t length = 1;
    while (length < rest_.size() && ContinuesWord(rest_[length])) ++length;
    std::string word(rest_.substr(0, length));
    rest_.remove_prefix(length);
    absl::AsciiStrToUpper(&word);
    return word;
  }

  bool AtEnd() {
    SkipBlanks();
    return rest_.empty();
  }

  // Skips one thing that is no word: a quoted string or name, or a character.
  void SkipThing() {
    const char quote = rest_.front();
    rest_.remove_prefix(1);
    if (quote != '\'' && quote != '"') return;
    // A doubled quote stands for itself; read as two strings side by side it ends at the same place.
    const std::size_t end = rest_.find(quote);
    rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end + 1);
  }

 private:
  bool SkipOne(char c) {
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }

  void SkipBlanks() {
    while (!rest_.empty()) {
      if (IsSpace(rest_.front())) {
        rest_.remove_prefix(1);
      } else if (rest_.substr(0, 2) == "--") {
        rest_.remove_prefix(std::min(rest_.find_first_of("\n\r"), rest_.size()));
      } else if (rest_.substr(0, 2) == "/*") {
        SkipComment();
      } else {
        return;
      }
    }
  }

  void SkipComment() {
    int depth = 0;
    while (!rest_.empty()) {
      if (rest_.substr(0, 2) == "/*") {
        ++depth;
        rest_.remove_prefix(2);
      } else if (rest_.substr(0, 2) == "*/") {
        rest_.remove_prefix(2);
        if (--depth == 0) return;
      } else {
        rest_.remove_prefix(1);
      }
    }
  }

  std::string_view rest_;
};

template <std::size_t N>
bool IsOneOf(const std::string& word, const std::array<std::string_view, N>& words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

constexpr std::array<std::string_view, 8> kQueries = {"SELECT", "INSERT", "UPDATE", "DELETE",
                                                      "WITH",   "VALUES", "MERGE",  "TABLE"};
constexpr std::array<std::string_view, 5> kAlwaysControl = {"BEGIN", "START", "COMMIT", "END", "ABORT"};
constexpr std::array<std::string_view, 2> kStatementKeepers = {"DEALLOCATE", "DISCARD"};

bool NamesTheClient(Scanner& scanner) {
  while (!scanner.AtEnd()) {
    const std::string word = scanner.Word();
    if (word == "STDIN" || word == "STDOUT") return true;
    if (word.empty()) scanner.SkipThing();
  }
  return false;
}

StatementKind KindOf(const std::string& keyword, Scanner& scanner) {
  if (IsOneOf(keyword, kQueries)) return StatementKind::kQuery;
  if (IsOneOf(keyword, kAlwaysControl)) return StatementKind::kTransactionControl;
  if (IsOneOf(keyword, kStatementKeepers)) return StatementKind::kPreparedStatement;
  if (keyword == "ROLLBACK") {
    std::string next = scanner.Word();
    if (next == "WORK" || next == "TRANSACTION") next = scanner.Word();
    return next == "TO" ? StatementKind::kRollbackToSavepoint : StatementKind::kTransactionControl;
  }
  if (keyword == "PREPARE") {
    return scanner.Word() == "TRANSACTION" ? StatementKind::kTransactionControl : StatementKind::kPreparedStatement;
  }
  if (keyword == "COPY" && NamesTheClient(scanner)) return StatementKind::kCopyWithClient;
  return StatementKind::kOther;
}

}  // namespace

ScannedStatement ScanStatement(std::string_view sql) {
  Scanner scanner(sql);
  scanner.SkipToStatement();
  if (scanner.AtEnd()) return {};
  ScannedStatement scanned;
  scanned.keyword = scanner.Word();
  scanned.kind = KindOf(scanned.keyword, scanner);
  return scanned;
}

}  // namespace assent::postgres
