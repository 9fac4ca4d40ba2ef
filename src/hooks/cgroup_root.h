// The topmost cgroup of the unified hierarchy (cgroups(7)) that can be seen from here: what is attached there sees the
// sockets of all processes. Any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "util/fd.h"

namespace tracedump {

/// Where the cgroup v2 hierarchy is mounted, from its root, not a part of it, by the text of /proc/PID/mountinfo
/// (proc(5)); hybrid hierarchies have one beside those of version 1.
std::optional<std::string> find_cgroup_root(std::string_view mountinfo);

struct CgroupRoot {
    UniqueFd folder;
    std::string name;  // for messages
};

/// Where it is mounted; or else (ip-netns(8) hides it from its commands) a mount of our own that nobody can see, which
/// takes CAP_SYS_ADMIN. Throws Error.
CgroupRoot open_cgroup_root();

}  // namespace tracedump
