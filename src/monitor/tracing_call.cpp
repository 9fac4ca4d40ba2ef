#include "monitor/tracing_call.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>

namespace tracedump {

namespace {

struct Numbers {
    std::uint64_t clone;
    std::uint64_t prctl;
    std::uint64_t seccomp;
};

std::optional<Numbers> numbers_of(std::uint32_t audit_arch) {
    switch (audit_arch) {
        case AUDIT_ARCH_X86_64:
            return Numbers{56, 157, 317};  // arch/x86/entry/syscalls/syscall_64.tbl
        case AUDIT_ARCH_I386:
            return Numbers{120, 172, 354};  // arch/x86/entry/syscalls/syscall_32.tbl
        case AUDIT_ARCH_AARCH64:
            return Numbers{220, 167, 277};  // include/uapi/asm-generic/unistd.h
        case AUDIT_ARCH_ARM:
            return Numbers{120, 172, 383};  // arch/arm/tools/syscall.tbl
        default:
            return std::nullopt;
    }
}

constexpr std::uint64_t kX32Bit = 0x40000000;

}  // namespace

std::optional<TracingCall> decode_tracing_call(std::uint32_t audit_arch, std::uint64_t number,
                                               std::span<const std::uint64_t, 6> arguments) {
    const auto numbers = numbers_of(audit_arch);
    if (!numbers) return std::nullopt;
    if (audit_arch == AUDIT_ARCH_X86_64) number &= ~kX32Bit;
    if (number == numbers->clone && (arguments[0] & CLONE_UNTRACED) != 0) return TracingCall::clone_untraced;
    if ((number == numbers->prctl && arguments[0] == PR_SET_SECCOMP && arguments[1] == SECCOMP_MODE_STRICT) ||
        (number == numbers->seccomp && arguments[0] == SECCOMP_SET_MODE_STRICT))
        return TracingCall::strict_seccomp;
    return std::nullopt;
}

}  // namespace tracedump
