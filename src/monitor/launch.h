// Starts the command: forked, seized before it can do anything, then exec'd under the seccomp filter. What it
// inherits is what tracedump inherited (signal(7), environ(7), execve(2)). Monitor thread.
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "util/fd.h"
#include "util/signals.h"

namespace tracedump {

/// Whom the command runs as (-u).
struct UserIdentity {
    std::string name;
    std::string home;
    uid_t uid = 0;
    gid_t gid = 0;
    std::vector<gid_t> groups;
};

/// Throws Error if there is no such user.
UserIdentity look_up_user(const std::string& name);

struct LaunchPlan {
    std::vector<std::string> command;  // at least the program
    std::optional<UserIdentity> user;
    bool seccomp = true;
    bool stdout_to_stderr = false;  // our standard output carries the capture
    InheritedSignals signals;
};

struct Launched {
    pid_t pid = 0;
    UniqueFd exec_error;  // an errno arrives here if exec fails; end of file if it succeeds
};

/// The command is traced with `options` and on its way to exec when this returns. `before_start` is told its process id
/// while it has not done anything yet. Throws Error.
Launched launch(const LaunchPlan& plan, long ptrace_options, const std::function<void(pid_t)>& before_start = {});

/// The errno of an exec that failed, 0 if it did not, or not yet.
int read_exec_error(const UniqueFd& exec_error);

/// The status that a shell gives a command that it could not execute: 127 not found, 126 not executable.
int exit_status_of_exec_error(int error);

}  // namespace tracedump
