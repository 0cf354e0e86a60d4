#pragma once

#include <string>
#include <string_view>

namespace assent::kafka {

// True for well-formed UTF-8 (RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF) without NUL.
bool IsUtf8WithoutNul(std::string_view text);

// Text of unknown origin as it may stand in a message: what is not printable ASCII is escaped, and its length bounded.
std::string Printable(std::string_view text);

}  // namespace assent::kafka
