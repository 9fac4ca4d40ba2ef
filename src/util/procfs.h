// What /proc says of a process. Any thread. A process may be gone between two calls: every function then says
// "nothing" instead of failing. `root` is /proc but for tests, which show it a folder of their own (proc(5)).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace tracedump {

class ProcFs {
public:
    explicit ProcFs(std::string root = "/proc") : root_(std::move(root)) {}

    /// A field of /proc/PID/status, without its name and leading white space.
    std::optional<std::string> status_field(pid_t pid, const std::string& name) const;

    /// The same as a number; nothing when the field is missing or no number.
    std::optional<long> status_number(pid_t pid, const std::string& name) const;

    bool exists(pid_t pid) const;

    /// The CPU on which a thread runs, or ran last.
    std::optional<int> last_cpu(pid_t tid) const;

    /// The threads of a process, the leader included.
    std::vector<pid_t> threads(pid_t pid) const;

    struct Descriptor {
        enum class Kind : std::uint8_t { socket, io_uring };
        int fd = -1;
        Kind kind = Kind::socket;
        std::uint64_t inode = 0;  // of a socket
    };
    /// The descriptors of thread `tid` of process `pid` that are sockets or io_urings.
    std::vector<Descriptor> descriptors(pid_t pid, pid_t tid) const;

    /// The inodes of the sockets among the direct descriptors of the io_uring that is descriptor `fd`. None while its
    /// owner is submitting: the kernel does not wait for that.
    std::vector<std::uint64_t> sockets_of_io_uring(pid_t pid, pid_t tid, int fd) const;

    /// How many descriptors a process has; 0 before Linux 6.2, which does not tell.
    std::int64_t descriptor_count(pid_t pid) const;

    /// The numbers of all descriptors that are open, but for the one that this looks through.
    std::vector<int> open_descriptors(pid_t pid) const;

    /// A whole small file below the root, such as "sys/kernel/yama/ptrace_scope".
    std::optional<std::string> read(const std::string& path) const;

private:
    std::string root_;
};

}  // namespace tracedump
