#include "monitor/seccomp_filter.h"

#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <initializer_list>
#include <memory>

#include "util/error.h"
#include "util/fd.h"

namespace tracedump {

namespace {

using Context = std::unique_ptr<void, void (*)(scmp_filter_ctx)>;

void check(int result, const char* what) {
    if (result < 0) throw_errno(-result, fmt::format("building the seccomp filter: {}", what));
}

/// A call of which only some need a stop: those with these arguments.
void stop_at_some(const Context& context, int call, std::initializer_list<scmp_arg_cmp> arguments) {
    check(seccomp_rule_add_array(context.get(), SCMP_ACT_TRACE(kSeccompTraceData), call,
                                 static_cast<unsigned>(arguments.size()), arguments.begin()),
          "adding a system call with arguments");
}

Context new_context() {
    Context context(seccomp_init(SCMP_ACT_ALLOW), seccomp_release);
    if (!context) throw Error("building the seccomp filter: seccomp_init failed");
    // A foreign architecture that we do not know runs as it would without us.
    check(seccomp_attr_set(context.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ALLOW), "allowing other architectures");
    return context;
}

void stop_at(const Context& context, std::initializer_list<int> calls) {
    for (const int call : calls)
        check(seccomp_rule_add(context.get(), SCMP_ACT_TRACE(kSeccompTraceData), call, 0), "adding a system call");
}

void stop_at_all(const Context& context) {
    stop_at(context, {SCMP_SYS(bind), SCMP_SYS(connect), SCMP_SYS(listen), SCMP_SYS(sendmsg), SCMP_SYS(sendmmsg),
                      SCMP_SYS(pidfd_getfd), SCMP_SYS(io_uring_setup)});
    stop_at_some(context, SCMP_SYS(clone), {SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_UNTRACED, CLONE_UNTRACED)});
    stop_at_some(context, SCMP_SYS(prctl),
                 {SCMP_A0(SCMP_CMP_EQ, PR_SET_SECCOMP), SCMP_A1(SCMP_CMP_EQ, SECCOMP_MODE_STRICT)});
    stop_at_some(context, SCMP_SYS(seccomp), {SCMP_A0(SCMP_CMP_EQ, SECCOMP_SET_MODE_STRICT)});
}

std::vector<sock_filter> exported(const Context& context) {
    const UniqueFd file(memfd_create("seccomp", MFD_CLOEXEC));
    if (!file) throw_errno(errno, "building the seccomp filter: memfd_create");
    check(seccomp_export_bpf(context.get(), file.get()), "exporting it");
    const off_t size = lseek(file.get(), 0, SEEK_END);
    std::vector<sock_filter> filter(static_cast<std::size_t>(size) / sizeof(sock_filter));
    if (pread(file.get(), filter.data(), static_cast<std::size_t>(size), 0) != size)
        throw_errno(errno, "building the seccomp filter: reading it back");
    return filter;
}

}  // namespace

std::vector<sock_filter> build_seccomp_filter() {
    Context native = new_context();
#if defined(__x86_64__)
    check(seccomp_arch_add(native.get(), SCMP_ARCH_X32), "adding x32");  // first: it gets the rules that follow
#endif
    stop_at_all(native);
    // sendto without an address is send(): frequent, and of no interest.
    stop_at_some(native, SCMP_SYS(sendto), {SCMP_A4(SCMP_CMP_NE, 0)});
#if defined(__x86_64__)
    // i386 has its arguments in memory when it calls through socketcall(2), where no filter can look.
    Context i386 = new_context();
    check(seccomp_arch_remove(i386.get(), SCMP_ARCH_NATIVE), "leaving out x86-64");
    check(seccomp_arch_add(i386.get(), SCMP_ARCH_X86), "adding i386");
    stop_at_all(i386);
    stop_at(i386, {SCMP_SYS(sendto)});
    check(seccomp_merge(native.get(), i386.get()), "joining x86-64 and i386");
    static_cast<void>(i386.release());  // seccomp_merge has taken it
#elif defined(__aarch64__)
    Context arm = new_context();
    check(seccomp_arch_remove(arm.get(), SCMP_ARCH_NATIVE), "leaving out aarch64");
    check(seccomp_arch_add(arm.get(), SCMP_ARCH_ARM), "adding 32-bit ARM");
    stop_at_all(arm);
    stop_at(arm, {SCMP_SYS(sendto)});
    check(seccomp_merge(native.get(), arm.get()), "joining aarch64 and 32-bit ARM");
    static_cast<void>(arm.release());
#endif
    return exported(native);
}

int install_seccomp_filter(const std::vector<sock_filter>& filter) {
    const sock_fprog program{static_cast<unsigned short>(filter.size()), const_cast<sock_filter*>(filter.data())};
    const auto install = [&](unsigned flags) {
        return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program) == 0 ? 0 : errno;
    };
    // Before 5.16 a filter without this flag turned on the mitigation against speculative store bypass, which slows
    // everything down.
    int error = install(SECCOMP_FILTER_FLAG_SPEC_ALLOW);
    if (error == EACCES) {
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return errno;
        error = install(SECCOMP_FILTER_FLAG_SPEC_ALLOW);
    }
    return error;
}

}  // namespace tracedump
