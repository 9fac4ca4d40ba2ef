// tracedump's own exit statuses. The command's status, and 126 and 127 for one that could not be executed, are
// passed on beside them.
#pragma once

namespace tracedump {

enum ExitStatus {
    kSuccess = 0,
    kOwnError = 1,
};

}  // namespace tracedump
