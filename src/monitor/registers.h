// The one thing that tracedump ever writes into a tracee: a stop that we caused made a system call return EINTR that
// would not have, so let the kernel restart it (signal(7), "Interruption of system calls"; ptrace.md C1).
// Monitor thread; the tracee is in a ptrace stop.
#pragma once

#include <sys/types.h>

namespace tracedump {

/// Turns a pending -EINTR into -ERESTARTNOHAND: the call is restarted unless a handler runs first, in which case the
/// program sees EINTR after all. A relative timeout starts over. x86 only; elsewhere the call keeps its EINTR.
void restart_interrupted_call(pid_t tid);

}  // namespace tracedump
