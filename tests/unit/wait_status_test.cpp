// Each kind of wait status, as made by hand and as a real child gives it.
#include "monitor/wait_status.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace tracedump {
namespace {

using Kind = WaitStatus::Kind;

TEST(WaitStatus, NamesWhatEndedAProcess) {
    EXPECT_EQ(WaitStatus::exit(0).kind(), Kind::exited);
    EXPECT_EQ(WaitStatus::exit(255).exit_code(), 255);
    EXPECT_TRUE(WaitStatus::exit(1).ended());
    EXPECT_EQ(WaitStatus::death(SIGKILL).kind(), Kind::killed);
    EXPECT_EQ(WaitStatus::death(SIGKILL).signal(), SIGKILL);
    EXPECT_TRUE(WaitStatus::death(SIGSEGV).ended());
    EXPECT_EQ(WaitStatus(SIGSEGV | 0x80).kind(), Kind::killed);  // with a core file
    EXPECT_EQ(WaitStatus(SIGSEGV | 0x80).signal(), SIGSEGV);
}

TEST(WaitStatus, TellsSystemCallsFromATraceesOwnTrap) {
    EXPECT_EQ(WaitStatus::stop(SIGTRAP | 0x80).kind(), Kind::syscall_stop);
    EXPECT_EQ(WaitStatus::stop(SIGTRAP).kind(), Kind::signal_stop);
    EXPECT_EQ(WaitStatus::stop(SIGTRAP).signal(), SIGTRAP);
    EXPECT_FALSE(WaitStatus::stop(SIGTRAP).ended());
}

TEST(WaitStatus, NamesEvents) {
    for (const int event :
         std::initializer_list<int>{PTRACE_EVENT_FORK, PTRACE_EVENT_VFORK, PTRACE_EVENT_CLONE, PTRACE_EVENT_EXEC,
                                    PTRACE_EVENT_VFORK_DONE, PTRACE_EVENT_EXIT, PTRACE_EVENT_SECCOMP}) {
        const auto status = WaitStatus::stop(SIGTRAP, event);
        EXPECT_EQ(status.kind(), Kind::event_stop);
        EXPECT_EQ(status.event(), event);
    }
}

TEST(WaitStatus, TellsGroupStopsFromOtherTraps) {
    for (const int signal : {SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU}) {
        EXPECT_EQ(WaitStatus::stop(signal, PTRACE_EVENT_STOP).kind(), Kind::group_stop);
        EXPECT_EQ(WaitStatus::stop(signal).kind(), Kind::signal_stop);
    }
    EXPECT_EQ(WaitStatus::stop(SIGTRAP, PTRACE_EVENT_STOP).kind(), Kind::trap_stop);
}

TEST(WaitStatus, EverySignalOnItsWayIsASignalStop) {
    for (int signal = 1; signal < 65; ++signal) {
        EXPECT_EQ(WaitStatus::stop(signal).kind(), Kind::signal_stop) << signal;
        EXPECT_EQ(WaitStatus::stop(signal).signal(), signal);
        EXPECT_EQ(WaitStatus::stop(signal).event(), 0);
    }
}

TEST(WaitStatus, AgreesWithTheKernel) {
    pid_t child = fork();
    if (child == 0) _exit(42);
    int raw = 0;
    ASSERT_EQ(waitpid(child, &raw, 0), child);
    EXPECT_EQ(raw, WaitStatus::exit(42).raw());

    child = fork();
    if (child == 0) {
        raise(SIGKILL);
        _exit(1);
    }
    ASSERT_EQ(waitpid(child, &raw, 0), child);
    EXPECT_EQ(raw, WaitStatus::death(SIGKILL).raw());
}

}  // namespace
}  // namespace tracedump
