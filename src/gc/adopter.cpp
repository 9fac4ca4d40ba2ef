#include "gc/adopter.h"

#include <sys/socket.h>

#include <algorithm>
#include <ctime>
#include <utility>
#include <vector>

#include "ports/socket_probe.h"
#include "util/log.h"

namespace tracedump {

namespace {

using std::chrono::milliseconds;

constexpr milliseconds kLookAtAll{200};
constexpr milliseconds kAskForChanges{10};
constexpr milliseconds kAskForChangesWithoutReceivers{100};  // one may yet open a socket to receive through
constexpr milliseconds kLookAtIoUring{2};

// How many times as long as it has worked a round rests: at most half a percent of a CPU for each kind of round, and a
// little more for processes whose descriptors change.
constexpr int kRest = 200;
constexpr int kRestOfChanged = 25;

/// What this thread has spent so far.
Adopter::Clock::duration cpu_time() {
    timespec spent{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
    return std::chrono::seconds(spent.tv_sec) + std::chrono::nanoseconds(spent.tv_nsec);
}

/// Runs `round`; returns when the next may begin, not sooner than after `at_least`.
template <typename Round>
Adopter::Clock::time_point next_after(Adopter::Clock::duration at_least, Round round) {
    const auto began = cpu_time();
    round();
    return Adopter::Clock::now() + std::max(at_least, (cpu_time() - began) * kRest);
}

bool is_listening(const UniqueFd& socket) {
    int listening = 0;
    socklen_t length = sizeof listening;
    return getsockopt(socket.get(), SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) == 0 && listening != 0;
}

/// Packets can belong to it, and its port is no leftover: a TCP socket that was refused or disconnected shows its old
/// one.
bool is_in_use(const UniqueFd& socket, const SocketInfo& info) {
    if (info.local.port == 0) return false;
    return info.transport != Transport::tcp || info.remote || is_listening(socket);
}

}  // namespace

void Adopter::process_began(pid_t pid) { processes_.try_emplace(pid); }

void Adopter::uses_io_uring(pid_t pid) {
    const auto process = processes_.find(pid);
    if (news_.hooked() || process == processes_.end() || process->second.io_uring) return;
    process->second.io_uring = true;
    next_io_uring_ = Clock::now();
    if (std::exchange(told_of_io_uring_, true)) return;
    log_warning(
        "process {} uses io_uring, which shows no system calls: its sockets are found some milliseconds after they "
        "are connected, and what passes before that is missing",
        pid);
}

Adopter::Clock::time_point Adopter::next_due() const {
    if (processes_.empty()) return Clock::time_point::max();
    return std::min({next_all_, next_changed_, next_io_uring_});
}

void Adopter::look_if_due() {
    const auto now = Clock::now();
    if (processes_.empty()) return;
    if (now >= next_all_) {
        next_all_ = next_after(kLookAtAll, [&] {
            for (auto& [pid, process] : processes_) look_at(pid, process);
        });
        // Inodes are given again in the end.
        std::erase_if(settled_, [&](std::uint64_t inode) { return !seen_now_.contains(inode); });
        seen_now_.clear();
    }
    if (now >= next_changed_) {
        const bool receivers =
            std::any_of(processes_.begin(), processes_.end(), [](const auto& entry) { return entry.second.receives; });
        // The looks themselves are paid for by each process's own rest.
        std::vector<pid_t> changed;
        next_changed_ = next_after(receivers ? kAskForChanges : kAskForChangesWithoutReceivers, [&] {
            for (const auto& [pid, process] : processes_)
                if (now >= process.rests_until && proc_.descriptor_count(pid) != process.descriptors)
                    changed.push_back(pid);
        });
        for (const pid_t pid : changed) look_at(pid, processes_.at(pid));
    }
    if (now >= next_io_uring_) {
        bool any = false;
        next_io_uring_ = next_after(kLookAtIoUring, [&] {
            for (auto& [pid, process] : processes_) {
                if (!process.io_uring) continue;
                any = true;
                look_at(pid, process);
            }
        });
        if (!any) next_io_uring_ = Clock::time_point::max();
    }
}

void Adopter::look_at(pid_t pid, Process& process) {
    const auto began = cpu_time();
    process.descriptors = proc_.descriptor_count(pid);
    const bool received = process.receives;
    look_through(pid, process);
    if (process.receives && !received) news_.expect_gifts(pid);
    process.rests_until = Clock::now() + (cpu_time() - began) * kRestOfChanged;
}

void Adopter::look_through(pid_t pid, Process& process) {
    // A leader that has exited before its threads has no descriptors.
    pid_t tid = pid;
    auto descriptors = proc_.descriptors(pid, tid);
    if (descriptors.empty()) {
        const auto threads = proc_.threads(pid);
        if (threads.size() < 2) return;
        tid = threads.back();
        descriptors = proc_.descriptors(pid, tid);
    }
    UniqueFd pidfd;
    Inodes direct;
    for (const ProcFs::Descriptor& descriptor : descriptors) {
        if (descriptor.kind == ProcFs::Descriptor::Kind::io_uring) {
            uses_io_uring(pid);
            for (const std::uint64_t inode : proc_.sockets_of_io_uring(pid, tid, descriptor.fd)) {
                seen_now_.insert(inode);
                if (!settled_.contains(inode)) direct.insert(inode);
            }
            continue;
        }
        seen_now_.insert(descriptor.inode);
        if (settled_.contains(descriptor.inode)) continue;
        if (!pidfd) pidfd = open_pidfd(tid, pid);
        int error = 0;
        const UniqueFd socket = borrow_descriptor(pidfd, descriptor.fd, error);
        if (socket && adopt(socket, process)) settled_.insert(descriptor.inode);
    }
    if (direct.empty()) return;
    for (const std::uint64_t inode : by_inode_(direct)) settled_.insert(inode);
}

/// Whether the socket needs no further look.
bool Adopter::adopt(const UniqueFd& socket, Process& process) {
    auto info = inspect_socket(socket);
    if (!info) {
        process.receives = true;
        return true;
    }
    if (!is_in_use(socket, *info)) return false;
    const NetworkId network = network_of_socket(socket.get());
    const auto registry = networks_.of(network, socket.get());
    if (!registry) return false;  // not yet
    // Hooks know a Multipath TCP socket by the first of its flows.
    const bool known = registry->find(info->cookie) || (info->multipath && registry->has_twin(*info));
    if (!known) {
        news_.know(*info, network);
        info->bound = true;  // as far as anyone can tell now
        registry->claim(*info, realtime_now());
    }
    // Where no call shows that a listener was closed and its descriptor connected, look again.
    return !process.io_uring || info->remote || info->transport != Transport::tcp;
}

}  // namespace tracedump
