// Which system calls matter, and how each ABI passes their arguments: x86-64, x32, i386 (direct and through
// socketcall(2)), aarch64 and 32-bit ARM. Decoding is pure; the tracee's memory comes through a function.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "ports/endpoint.h"

namespace tracedump {

struct NetCall {
    enum class Kind : std::uint8_t { bind, connect, listen, sendto, sendmsg, sendmmsg, pidfd_getfd, io_uring_setup };

    Kind kind = Kind::bind;
    int fd = -1;                // the socket's; not of pidfd_getfd and io_uring_setup, which give one
    std::uint64_t pointer = 0;  // bind, connect, sendto: the sockaddr; sendmsg, sendmmsg: the msghdr
    std::uint32_t length = 0;   // of the sockaddr; for sendmmsg the number of messages
    std::uint32_t flags = 0;    // MSG_* of the sending calls
    bool compat = false;        // 32-bit layouts in memory

    bool sends() const { return kind == Kind::sendto || kind == Kind::sendmsg || kind == Kind::sendmmsg; }
};

std::string_view to_text(NetCall::Kind kind);

/// Reads the tracee's memory at an address; false if not all of it could be read.
using ReadMemory = std::function<bool(std::uint64_t address, std::span<std::byte> into)>;

/// The call that a stop at its entry shows, if it is one of ours. `audit_arch` as PTRACE_GET_SYSCALL_INFO tells it,
/// anew at each stop: a 64-bit program can make 32-bit calls (int 0x80).
std::optional<NetCall> decode_net_call(std::uint32_t audit_arch, std::uint64_t number,
                                       std::span<const std::uint64_t, 6> arguments, const ReadMemory& read);

/// What a call's socket address says. The program may change its memory until the kernel copies it, so this is what
/// it most likely asked for; what the socket became is asked of the socket.
struct CallAddress {
    bool unspecified_family = false;  // AF_UNSPEC: connect(2) dissolves the association
    std::optional<Endpoint> endpoint;
};

/// For sendmsg and sendmmsg the first message's. Nothing if there is none or it cannot be read.
std::optional<CallAddress> read_address(const NetCall& call, const ReadMemory& read);

}  // namespace tracedump
