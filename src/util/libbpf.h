// What libbpf says goes to our log, not to standard error: a kernel that refuses a program is no news to a user who did
// not ask for it.
#pragma once

namespace tracedump {

/// From here on. Any thread; once is enough.
void quiet_libbpf();

}  // namespace tracedump
