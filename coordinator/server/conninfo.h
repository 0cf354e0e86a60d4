#pragma once

#include <string>
#include <string_view>

namespace assent {

// Whether libpq understands it.
bool IsConninfo(std::string_view conninfo);

// What libpq does not understand in it, without repeating any of it: it may hold a password. "an empty text", or "a
// text with an option that libpq does not know (did you mean \"host\"?)".
std::string DescribeUnreadableConninfo(std::string_view conninfo);

// Whether a password stands in it, where everybody who may read the configuration sees it.
bool HasPassword(std::string_view conninfo);

// The same connection for people and logs: without what is secret. "(unreadable)" for what libpq does not understand.
std::string RedactConninfo(std::string_view conninfo);

}  // namespace assent
