#pragma once

#include <string>
#include <string_view>

namespace assent {

// Whether libpq understands it.
bool IsConninfo(std::string_view conninfo);

// Whether a password stands in it, where everybody who may read the configuration sees it.
bool HasPassword(std::string_view conninfo);

// The same connection for people and logs: without what is secret. "(unreadable)" for what libpq does not understand.
std::string RedactConninfo(std::string_view conninfo);

}  // namespace assent
