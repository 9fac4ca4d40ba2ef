// Network namespaces (network_namespaces(7)): which one a socket lives in, and how a thread visits one. Any thread.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "util/fd.h"

namespace tracedump {

/// Names a network namespace while it exists: its cookie, or before Linux 5.14 its inode.
using NetworkId = std::uint64_t;

/// Where a socket of any kind lives: SO_NETNS_COOKIE (socket(7)), else SIOCGSKNS. 0 if the kernel does not tell, which
/// before 5.14 takes CAP_NET_ADMIN.
NetworkId network_of_socket(int socket);

/// The same of the calling thread. Throws Error.
NetworkId network_here();

/// A descriptor of the namespace that a socket lives in. Throws Error.
UniqueFd open_network_of_socket(int socket);

/// The namespace of a process, or of one of its threads; empty if it is gone or we may not know.
UniqueFd open_network_of_process(pid_t pid);
UniqueFd open_network_of_thread(pid_t pid, pid_t tid);

/// The inode of an open namespace: another name for it while it exists. 0 if `network` is none.
std::uint64_t inode_of_network(const UniqueFd& network);

/// The calling thread is in `network` while this lives: what it opens belongs there (setns(2)).
class NetworkVisit {
public:
    /// Needs CAP_SYS_ADMIN, unless that is where the thread is already. Throws Error.
    explicit NetworkVisit(const UniqueFd& network);
    ~NetworkVisit();
    NetworkVisit(const NetworkVisit&) = delete;
    NetworkVisit& operator=(const NetworkVisit&) = delete;

    bool abroad() const { return static_cast<bool>(home_); }

private:
    UniqueFd home_;  // empty: nothing to come back from
};

}  // namespace tracedump
