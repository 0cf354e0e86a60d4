// What every program links that does not bring failpoint_on.cc itself.
#include "base/failpoint.h"

namespace assent {

void HitFailpoint(Failpoint) {}

}  // namespace assent
