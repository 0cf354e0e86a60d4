#pragma once

#include <cstddef>
#include <string>

namespace assent {

// The text, of at most `most_bytes` bytes: where that is less than it has, its beginning and an ellipsis. UTF-8 stays
// UTF-8: the cut is before the character that would not fit.
std::string Shortened(std::string text, std::size_t most_bytes);

}  // namespace assent
