#include "monitor/tracing_call.h"

#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>

#include <array>
#include <csignal>

namespace tracedump {
namespace {

std::optional<TracingCall> decode(std::uint32_t arch, std::uint64_t number, std::uint64_t first,
                                  std::uint64_t second = 0) {
    const std::array<std::uint64_t, 6> arguments{first, second, 0, 0, 0, 0};
    return decode_tracing_call(arch, number, arguments);
}

TEST(TracingCall, ACloneIsOneOnlyIfUntraced) {
    constexpr std::uint64_t kX32Bit = 0x40000000;
    const auto untraced = TracingCall::clone_untraced;
    EXPECT_EQ(decode(AUDIT_ARCH_X86_64, 56, CLONE_UNTRACED | SIGCHLD), untraced);
    EXPECT_EQ(decode(AUDIT_ARCH_X86_64, 56 | kX32Bit, CLONE_UNTRACED | CLONE_VM), untraced);
    EXPECT_EQ(decode(AUDIT_ARCH_I386, 120, CLONE_UNTRACED), untraced);
    EXPECT_EQ(decode(AUDIT_ARCH_AARCH64, 220, CLONE_UNTRACED), untraced);
    EXPECT_EQ(decode(AUDIT_ARCH_ARM, 120, CLONE_UNTRACED), untraced);
    EXPECT_EQ(decode(AUDIT_ARCH_X86_64, 56, CLONE_VM | CLONE_THREAD | SIGCHLD), std::nullopt);
    EXPECT_EQ(decode(AUDIT_ARCH_X86_64, 120, CLONE_UNTRACED), std::nullopt);  // getresgid
}

TEST(TracingCall, StrictModeIsAskedForInTwoWays) {
    const auto strict = TracingCall::strict_seccomp;
    EXPECT_EQ(decode(AUDIT_ARCH_X86_64, 157, PR_SET_SECCOMP, SECCOMP_MODE_STRICT), strict);
    EXPECT_EQ(decode(AUDIT_ARCH_X86_64, 317, SECCOMP_SET_MODE_STRICT), strict);
    EXPECT_EQ(decode(AUDIT_ARCH_I386, 354, SECCOMP_SET_MODE_STRICT), strict);
    EXPECT_EQ(decode(AUDIT_ARCH_AARCH64, 167, PR_SET_SECCOMP, SECCOMP_MODE_STRICT), strict);
    EXPECT_EQ(decode(AUDIT_ARCH_X86_64, 157, PR_SET_SECCOMP, SECCOMP_MODE_FILTER), std::nullopt);
    EXPECT_EQ(decode(AUDIT_ARCH_X86_64, 157, PR_SET_NAME, SECCOMP_MODE_STRICT), std::nullopt);
    EXPECT_EQ(decode(AUDIT_ARCH_X86_64, 317, SECCOMP_SET_MODE_FILTER), std::nullopt);
}

TEST(TracingCall, ForeignArchitecturesHaveNone) {
    EXPECT_EQ(decode(AUDIT_ARCH_S390X, 120, CLONE_UNTRACED), std::nullopt);
}

}  // namespace
}  // namespace tracedump
