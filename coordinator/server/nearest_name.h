#pragma once

#include <span>
#include <string>
#include <string_view>

namespace assent {

// Of the candidates the one that `name` was probably meant to be: the fewest single-character edits away, at most a
// third of its length. Empty where none is near.
std::string NearestName(std::string_view name, std::span<const std::string_view> candidates);

}  // namespace assent
