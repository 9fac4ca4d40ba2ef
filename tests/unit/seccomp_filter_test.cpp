// The filter's program, run in user space over the system calls that it is to stop at and those that it is to let go.
#include "monitor/seccomp_filter.h"

#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>

#include <csignal>
#include <cstring>
#include <set>
#include <stdexcept>

namespace tracedump {
namespace {

/// What the kernel's interpreter does with the instructions that seccomp allows (seccomp_check_filter()).
std::uint32_t run(const std::vector<sock_filter>& program, const seccomp_data& data) {
    std::uint32_t a = 0, x = 0;
    std::array<std::uint32_t, BPF_MEMWORDS> memory{};
    for (std::size_t at = 0; at < program.size(); ++at) {
        const sock_filter& i = program[at];
        const auto jump = [&](bool yes) { at += yes ? i.jt : i.jf; };
        const std::uint32_t operand = BPF_SRC(i.code) == BPF_X ? x : i.k;
        switch (i.code) {
            case BPF_LD | BPF_W | BPF_ABS:
                if (i.k + 4 > sizeof data) throw std::out_of_range("load");
                std::memcpy(&a, reinterpret_cast<const char*>(&data) + i.k, 4);
                break;
            case BPF_LD | BPF_IMM:
                a = i.k;
                break;
            case BPF_LDX | BPF_IMM:
                x = i.k;
                break;
            case BPF_LD | BPF_MEM:
                a = memory.at(i.k);
                break;
            case BPF_LDX | BPF_MEM:
                x = memory.at(i.k);
                break;
            case BPF_ST:
                memory.at(i.k) = a;
                break;
            case BPF_STX:
                memory.at(i.k) = x;
                break;
            case BPF_MISC | BPF_TAX:
                x = a;
                break;
            case BPF_MISC | BPF_TXA:
                a = x;
                break;
            case BPF_ALU | BPF_AND | BPF_K:
            case BPF_ALU | BPF_AND | BPF_X:
                a &= operand;
                break;
            case BPF_JMP | BPF_JA:
                at += i.k;
                break;
            case BPF_JMP | BPF_JEQ | BPF_K:
            case BPF_JMP | BPF_JEQ | BPF_X:
                jump(a == operand);
                break;
            case BPF_JMP | BPF_JGT | BPF_K:
            case BPF_JMP | BPF_JGT | BPF_X:
                jump(a > operand);
                break;
            case BPF_JMP | BPF_JGE | BPF_K:
            case BPF_JMP | BPF_JGE | BPF_X:
                jump(a >= operand);
                break;
            case BPF_JMP | BPF_JSET | BPF_K:
            case BPF_JMP | BPF_JSET | BPF_X:
                jump((a & operand) != 0);
                break;
            case BPF_RET | BPF_K:
                return i.k;
            case BPF_RET | BPF_A:
                return a;
            default:
                throw std::invalid_argument("instruction " + std::to_string(i.code));
        }
    }
    throw std::out_of_range("ran off the end");
}

constexpr std::uint32_t kTrace = SECCOMP_RET_TRACE | kSeccompTraceData;
constexpr std::uint32_t kAllow = SECCOMP_RET_ALLOW;

class SeccompFilter : public ::testing::Test {
protected:
    std::uint32_t answer(std::uint32_t arch, std::uint32_t number, std::uint64_t fifth = 0x7fff12345678) const {
        seccomp_data data{};
        data.nr = static_cast<int>(number);
        data.arch = arch;
        for (auto& argument : data.args) argument = 0x1111;
        data.args[4] = fifth;
        return run(filter_, data);
    }

    const std::vector<sock_filter> filter_ = build_seccomp_filter();
};

TEST_F(SeccompFilter, FitsTheKernel) {
    EXPECT_GT(filter_.size(), 1U);
    EXPECT_LE(filter_.size(), static_cast<std::size_t>(BPF_MAXINSNS));
}

#if defined(__x86_64__)

TEST_F(SeccompFilter, StopsAtExactlyTheTracedCallsOfX86_64) {
    const std::set<std::uint32_t> traced{49, 42, 50, 44, 46, 307, 438, 425};
    for (std::uint32_t number = 0; number < 1000; ++number)
        EXPECT_EQ(answer(AUDIT_ARCH_X86_64, number), traced.contains(number) ? kTrace : kAllow) << number;
}

TEST_F(SeccompFilter, StopsAtTheTracedCallsOfI386) {
    for (const std::uint32_t number : {361U, 362U, 363U, 369U, 370U, 345U, 438U, 425U})
        EXPECT_EQ(answer(AUDIT_ARCH_I386, number), kTrace) << number;
    // socketcall: bind, connect, listen, sendto, sendmsg, sendmmsg
    const std::set<std::uint64_t> traced{2, 3, 4, 11, 16, 20};
    for (std::uint64_t call = 1; call <= 20; ++call) {
        seccomp_data data{};
        data.nr = 102;
        data.arch = AUDIT_ARCH_I386;
        data.args[0] = call;
        EXPECT_EQ(run(filter_, data), traced.contains(call) ? kTrace : kAllow) << call;
    }
}

TEST_F(SeccompFilter, LetsTheOtherCallsOfI386Go) {
    const std::set<std::uint32_t> traced{361, 362, 363, 369, 370, 345, 438, 425};
    for (std::uint32_t number = 0; number < 1000; ++number) {
        if (number == 102 || traced.contains(number)) continue;
        EXPECT_EQ(answer(AUDIT_ARCH_I386, number), kAllow) << number;
    }
}

TEST_F(SeccompFilter, LetsSendtoWithoutAnAddressGo) {
    EXPECT_EQ(answer(AUDIT_ARCH_X86_64, 44, 0), kAllow);
    // Each half of the pointer counts.
    EXPECT_EQ(answer(AUDIT_ARCH_X86_64, 44, 1), kTrace);
    EXPECT_EQ(answer(AUDIT_ARCH_X86_64, 44, std::uint64_t{1} << 32), kTrace);
}

TEST_F(SeccompFilter, StopsAtAnUntracedCloneAlone) {
    const auto clone_with = [&](std::uint32_t arch, std::uint32_t number, std::uint64_t flags) {
        seccomp_data data{};
        data.nr = static_cast<int>(number);
        data.arch = arch;
        data.args[0] = flags;
        return run(filter_, data);
    };
    constexpr std::uint64_t kThread = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD;
    for (const auto& [arch, number] :
         {std::pair<std::uint32_t, std::uint32_t>{AUDIT_ARCH_X86_64, 56}, {AUDIT_ARCH_I386, 120}}) {
        EXPECT_EQ(clone_with(arch, number, kThread), kAllow);
        EXPECT_EQ(clone_with(arch, number, SIGCHLD), kAllow);
        EXPECT_EQ(clone_with(arch, number, CLONE_UNTRACED | SIGCHLD), kTrace);
        EXPECT_EQ(clone_with(arch, number, CLONE_UNTRACED | kThread), kTrace);
    }
}

TEST_F(SeccompFilter, StopsAtARequestForStrictModeAlone) {
    const auto answer_to = [&](std::uint32_t number, std::uint64_t first, std::uint64_t second) {
        seccomp_data data{};
        data.nr = static_cast<int>(number);
        data.arch = AUDIT_ARCH_X86_64;
        data.args[0] = first;
        data.args[1] = second;
        return run(filter_, data);
    };
    EXPECT_EQ(answer_to(157, PR_SET_SECCOMP, SECCOMP_MODE_STRICT), kTrace);
    EXPECT_EQ(answer_to(157, PR_SET_SECCOMP, SECCOMP_MODE_FILTER), kAllow);
    EXPECT_EQ(answer_to(157, PR_SET_NAME, 1), kAllow);
    EXPECT_EQ(answer_to(317, SECCOMP_SET_MODE_STRICT, 0), kTrace);
    EXPECT_EQ(answer_to(317, SECCOMP_SET_MODE_FILTER, 0), kAllow);
}

#elif defined(__aarch64__)

TEST_F(SeccompFilter, StopsAtExactlyTheTracedCalls) {
    const std::set<std::uint32_t> traced{200, 203, 201, 206, 211, 269, 438, 425};
    for (std::uint32_t number = 0; number < 1000; ++number)
        EXPECT_EQ(answer(AUDIT_ARCH_AARCH64, number), traced.contains(number) ? kTrace : kAllow) << number;
    EXPECT_EQ(answer(AUDIT_ARCH_AARCH64, 206, 0), kAllow);
}

TEST_F(SeccompFilter, StopsAtTheTracedCallsOfArm) {
    for (const std::uint32_t number : {282U, 283U, 284U, 290U, 296U, 374U, 438U, 425U})
        EXPECT_EQ(answer(AUDIT_ARCH_ARM, number), kTrace) << number;
}

#endif

TEST_F(SeccompFilter, LetsForeignArchitecturesGo) {
    for (const std::uint32_t arch : {std::uint32_t{AUDIT_ARCH_PPC64LE}, std::uint32_t{AUDIT_ARCH_S390X}, 0U})
        for (std::uint32_t number = 0; number < 400; ++number) EXPECT_EQ(answer(arch, number), kAllow);
}

TEST_F(SeccompFilter, StopsAtExactlyTheTracedCallsOfX32) {
    constexpr std::uint32_t kX32 = 0x40000000;
    const std::set<std::uint32_t> traced{49, 42, 50, 44, 518, 538, 438, 425};
    for (std::uint32_t number = 0; number < 1000; ++number)
        EXPECT_EQ(answer(AUDIT_ARCH_X86_64, kX32 + number), traced.contains(number) ? kTrace : kAllow) << number;
}

}  // namespace
}  // namespace tracedump
