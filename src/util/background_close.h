// Closes descriptors whose release takes the kernel long, without waiting for it. Any thread.
#pragma once

#include "util/fd.h"

namespace tracedump {

/// Gives up a descriptor: its number is free at once, its file is released soon, by the kernel's own workers if it has
/// io_uring(7) for us, or else here and now.
void close_in_background(UniqueFd fd);

}  // namespace tracedump
