#pragma once

#include <string_view>

// Known bugs that the simulation must find (tests/simulation/README.md). ASSENT_MUTANT(name) is the constant false in
// every product; only sources compiled once more, with ASSENT_MUTANTS, have the bug, and only while it is switched on.
#ifdef ASSENT_MUTANTS
namespace assent {
inline std::string_view active_mutant;
}  // namespace assent
#define ASSENT_MUTANT(name) (::assent::active_mutant == #name)
#else
#define ASSENT_MUTANT(name) false
#endif
