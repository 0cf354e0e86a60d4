#pragma once

#include <string>
#include <string_view>

namespace assent {

// Whether the bytes are text that a protobuf string may hold.
bool IsUtf8(std::string_view bytes);

// The same text, with a '?' for each byte that is no part of UTF-8: for messages of others.
std::string WithoutBadUtf8(std::string_view bytes);

}  // namespace assent
