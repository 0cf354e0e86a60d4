#include "cli/table.h"

#include <gtest/gtest.h>

#include <sstream>

namespace assent::cli {
namespace {

std::string Printed(const Table& table, std::size_t width = 0) {
  std::ostringstream out;
  table.Print(out, width);
  return out.str();
}

TEST(TableTest, ColumnsAreAsWideAsTheirWidestCellInCharacters) {
  Table table({"NAME", "STATE", "NOTE"});
  table.AddRow({"orders-db", "up", "x"});
  table.AddRow({"zażółć", "DOWN", ""});
  EXPECT_EQ(Printed(table),
            "NAME       STATE  NOTE\n"
            "orders-db  up     x\n"
            "zażółć     DOWN\n");
}

TEST(TableTest, LinesAreCutAtTheTerminalsWidthAndNotInsideACharacter) {
  Table table({"A", "B"});
  table.AddRow({"é", "éééé"});
  EXPECT_EQ(Printed(table, 5), "A  B\né  é…\n");
  EXPECT_EQ(Printed(table, 7), "A  B\né  éééé\n");
}

TEST(TableTest, TextFromElsewhereCannotSteerTheTerminal) {
  EXPECT_EQ(Printable("a\x1b[2Jb\nc\td\x7f"), "a?[2Jb c d?");
  EXPECT_EQ(Printable("\xc2\x9b[2J"), "?[2J") << "CSI as one character of Latin-1";
  EXPECT_EQ(Printable("zażółć €"), "zażółć €");
}

}  // namespace
}  // namespace assent::cli
