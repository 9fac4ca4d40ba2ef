// Begins to trace a running process: all its threads, those included that start meanwhile. Monitor thread.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "util/procfs.h"

namespace tracedump {

/// Seizes every thread of `pid` with `options` (which must follow clones); none is stopped by that. Returns the
/// threads. Throws Error: no such process, traced by another, forbidden, ourselves.
std::vector<pid_t> attach_process(pid_t pid, long options);

/// Whether the calling thread is its tracer: /proc names the tracing thread, not its process (proc(5), TracerPid).
bool is_traced_by_this_thread(pid_t tid, const ProcFs& proc);

/// Why PTRACE_SEIZE of `pid` failed with `error`, as a whole line.
std::string explain_attach_failure(pid_t pid, int error, const ProcFs& proc);

}  // namespace tracedump
