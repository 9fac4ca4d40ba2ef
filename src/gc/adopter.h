// Finds sockets of traced processes that no system call showed: received from another process (SCM_RIGHTS, unix(7)), or
// opened and connected through an io_uring, there perhaps as one of its own descriptors, which nobody can borrow: those
// are known by their inodes, which the kernel's table of sockets has too. Looks through the processes' descriptors
// (/proc/PID/fd), which costs some microseconds for each: soon after their number has changed, now and then in any
// case, and all the time where there is an io_uring; but never for more than a few hundredths of a CPU. gc thread.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "ports/networks.h"
#include "ports/socket_news.h"
#include "util/procfs.h"

namespace tracedump {

class Adopter {
public:
    using Clock = std::chrono::steady_clock;
    using Inodes = std::unordered_set<std::uint64_t>;

    /// Claims those of the sockets with these inodes that are in use, and returns which they were.
    using AdoptByInode = std::function<std::vector<std::uint64_t>(const Inodes&)>;

    /// The first two are borrowed. Where there are hooks, they see what an io_uring does, and are told which sockets
    /// are adopted.
    Adopter(Networks& networks, SocketNews& news, AdoptByInode by_inode)
        : networks_(networks), news_(news), by_inode_(std::move(by_inode)) {}

    void process_began(pid_t pid);
    void process_ended(pid_t pid) { processes_.erase(pid); }
    void uses_io_uring(pid_t pid);
    void look_at_all_now() { next_all_ = {}; }

    /// Never, without processes.
    Clock::time_point next_due() const;
    void look_if_due();

private:
    struct Process {
        std::int64_t descriptors = 0;  // how many there were at the last look
        bool io_uring = false;
        bool receives = false;  // it has sockets of other kinds: among them may be one that descriptors come through
        Clock::time_point rests_until{};
    };

    void look_at(pid_t pid, Process& process);
    void look_through(pid_t pid, Process& process);
    bool adopt(const UniqueFd& socket, Process& process);

    Networks& networks_;
    SocketNews& news_;
    const AdoptByInode by_inode_;
    const ProcFs proc_;
    std::map<pid_t, Process> processes_;
    Inodes settled_;   // of sockets that need no further look
    Inodes seen_now_;  // since the last look at all
    Clock::time_point next_all_{};
    Clock::time_point next_changed_{};
    Clock::time_point next_io_uring_ = Clock::time_point::max();
    bool told_of_io_uring_ = false;
};

}  // namespace tracedump
