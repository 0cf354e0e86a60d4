#pragma once

#include <string>

namespace assent {

// A configuration file with every option, its default, bounds and meaning, and an example of each kind of participant.
// It can be read as it is.
std::string DefaultConfigText();

// The same as the tables of docs/configuration.md, in Markdown.
std::string OptionTablesMarkdown();

}  // namespace assent
