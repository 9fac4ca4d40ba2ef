#include "monitor/net_call.h"

#include <linux/audit.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace tracedump {

namespace {

using Kind = NetCall::Kind;

struct Numbered {
    std::uint64_t number;
    Kind kind;
};
using CallTable = std::array<Numbered, 6>;

// arch/x86/entry/syscalls/syscall_64.tbl
constexpr CallTable kX86_64{{{49, Kind::bind},
                             {42, Kind::connect},
                             {50, Kind::listen},
                             {44, Kind::sendto},
                             {46, Kind::sendmsg},
                             {307, Kind::sendmmsg}}};
constexpr std::uint64_t kX32Bit = 0x40000000;
constexpr CallTable kX32{{{49, Kind::bind},
                          {42, Kind::connect},
                          {50, Kind::listen},
                          {44, Kind::sendto},
                          {518, Kind::sendmsg},
                          {538, Kind::sendmmsg}}};
// arch/x86/entry/syscalls/syscall_32.tbl
constexpr CallTable kI386{{{361, Kind::bind},
                           {362, Kind::connect},
                           {363, Kind::listen},
                           {369, Kind::sendto},
                           {370, Kind::sendmsg},
                           {345, Kind::sendmmsg}}};
constexpr std::uint64_t kI386Socketcall = 102;
// include/uapi/asm-generic/unistd.h
constexpr CallTable kAarch64{{{200, Kind::bind},
                              {203, Kind::connect},
                              {201, Kind::listen},
                              {206, Kind::sendto},
                              {211, Kind::sendmsg},
                              {269, Kind::sendmmsg}}};
// arch/arm/tools/syscall.tbl (EABI)
constexpr CallTable kArm{{{282, Kind::bind},
                          {283, Kind::connect},
                          {284, Kind::listen},
                          {290, Kind::sendto},
                          {296, Kind::sendmsg},
                          {374, Kind::sendmmsg}}};
// Everywhere, as every call since Linux 5.1. Rare calls, by which a process comes to sockets that are shown by no
// other.
constexpr std::array<Numbered, 2> kEverywhere{{{438, Kind::pidfd_getfd}, {425, Kind::io_uring_setup}}};
// include/uapi/linux/net.h: the first argument of socketcall(2)
constexpr CallTable kSocketcall{{{2, Kind::bind},
                                 {3, Kind::connect},
                                 {4, Kind::listen},
                                 {11, Kind::sendto},
                                 {16, Kind::sendmsg},
                                 {20, Kind::sendmmsg}}};

std::optional<Kind> look_up(std::span<const Numbered> table, std::uint64_t number) {
    const auto found = std::find_if(table.begin(), table.end(), [&](const Numbered& n) { return n.number == number; });
    if (found == table.end()) return std::nullopt;
    return found->kind;
}

NetCall with_arguments(Kind kind, std::span<const std::uint64_t, 6> arguments, bool compat) {
    NetCall call;
    call.kind = kind;
    call.fd = static_cast<int>(arguments[0]);
    call.compat = compat;
    switch (kind) {
        case Kind::bind:
        case Kind::connect:
            call.pointer = arguments[1];
            call.length = static_cast<std::uint32_t>(arguments[2]);
            break;
        case Kind::listen:
            break;
        case Kind::pidfd_getfd:
        case Kind::io_uring_setup:
            call.fd = -1;
            break;
        case Kind::sendto:
            call.flags = static_cast<std::uint32_t>(arguments[3]);
            call.pointer = arguments[4];
            call.length = static_cast<std::uint32_t>(arguments[5]);
            break;
        case Kind::sendmsg:
            call.pointer = arguments[1];
            call.flags = static_cast<std::uint32_t>(arguments[2]);
            break;
        case Kind::sendmmsg:
            call.pointer = arguments[1];
            call.length = static_cast<std::uint32_t>(arguments[2]);
            call.flags = static_cast<std::uint32_t>(arguments[3]);
            break;
    }
    return call;
}

std::optional<NetCall> decode_socketcall(std::span<const std::uint64_t, 6> arguments, const ReadMemory& read) {
    const auto kind = look_up(kSocketcall, arguments[0]);
    if (!kind) return std::nullopt;
    // How many arguments each call has; reading more could run into an unmapped page.
    std::size_t count = 0;
    switch (*kind) {
        case Kind::listen:
            count = 2;
            break;
        case Kind::bind:
        case Kind::connect:
        case Kind::sendmsg:
            count = 3;
            break;
        case Kind::sendmmsg:
            count = 4;
            break;
        case Kind::sendto:
            count = 6;
            break;
        case Kind::pidfd_getfd:
        case Kind::io_uring_setup:
            break;  // have no place in socketcall(2)
    }
    std::array<std::uint32_t, 6> words{};
    if (!read(arguments[1], std::as_writable_bytes(std::span(words).first(count)))) return std::nullopt;
    std::array<std::uint64_t, 6> wide{};
    std::copy(words.begin(), words.end(), wide.begin());
    return with_arguments(*kind, wide, true);
}

/// msg_name and msg_namelen, the first two fields of struct msghdr, and of the msghdr in struct mmsghdr.
bool read_message_name(const NetCall& call, const ReadMemory& read, std::uint64_t& name, std::uint32_t& length) {
    if (call.compat) {
        std::array<std::uint32_t, 2> fields{};
        if (!read(call.pointer, std::as_writable_bytes(std::span(fields)))) return false;
        name = fields[0];
        length = fields[1];
    } else {
        std::array<std::uint64_t, 2> fields{};
        if (!read(call.pointer, std::as_writable_bytes(std::span(fields)))) return false;
        name = fields[0];
        length = static_cast<std::uint32_t>(fields[1]);
    }
    return true;
}

}  // namespace

std::string_view to_text(Kind kind) {
    constexpr std::array<std::string_view, 8> names{"bind",    "connect",  "listen",      "sendto",
                                                    "sendmsg", "sendmmsg", "pidfd_getfd", "io_uring_setup"};
    return names[static_cast<std::size_t>(kind)];
}

std::optional<NetCall> decode_net_call(std::uint32_t audit_arch, std::uint64_t number,
                                       std::span<const std::uint64_t, 6> arguments, const ReadMemory& read) {
    std::optional<Kind> kind;
    bool compat = false;
    switch (audit_arch) {
        case AUDIT_ARCH_X86_64:
            compat = (number & kX32Bit) != 0;
            kind = compat ? look_up(kX32, number & ~kX32Bit) : look_up(kX86_64, number);
            break;
        case AUDIT_ARCH_I386:
            if (number == kI386Socketcall) return decode_socketcall(arguments, read);
            kind = look_up(kI386, number);
            compat = true;
            break;
        case AUDIT_ARCH_AARCH64:
            kind = look_up(kAarch64, number);
            break;
        case AUDIT_ARCH_ARM:
            kind = look_up(kArm, number);
            compat = true;
            break;
        default:
            break;
    }
    if (!kind) kind = look_up(kEverywhere, number & ~(audit_arch == AUDIT_ARCH_X86_64 ? kX32Bit : 0));
    if (!kind) return std::nullopt;
    return with_arguments(*kind, arguments, compat);
}

std::optional<CallAddress> read_address(const NetCall& call, const ReadMemory& read) {
    std::uint64_t pointer = call.pointer;
    std::uint32_t length = call.length;
    if (call.kind == Kind::listen) return std::nullopt;  // pidfd_getfd and io_uring_setup have no pointer
    if ((call.kind == Kind::sendmsg || call.kind == Kind::sendmmsg) &&
        (pointer == 0 || !read_message_name(call, read, pointer, length)))
        return std::nullopt;
    if (pointer == 0 || length < sizeof(sa_family_t)) return std::nullopt;
    sockaddr_storage address{};
    length = std::min<std::uint32_t>(length, sizeof address);
    if (!read(pointer, std::as_writable_bytes(std::span(&address, 1)).first(length))) return std::nullopt;
    return CallAddress{address.ss_family == AF_UNSPEC, endpoint_of(address, length)};
}

}  // namespace tracedump
