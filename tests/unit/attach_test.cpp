// Why an attach failed, told from a proc folder of the test's own.
#include "monitor/attach.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>

#include "helpers.h"
#include "util/error.h"

namespace tracedump {
namespace {

class ExplainAttachFailure : public ::testing::Test {
protected:
    void process(const std::string& state, const std::string& rest) {
        folder_.write("7/status", "Name:\tx\nState:\t" + state + "\nTracerPid:\t0\n" + rest);
    }
    std::string explain(int error) const { return explain_attach_failure(7, error, proc_); }

    test::TempFolder folder_;
    const ProcFs proc_{folder_.path()};
};

TEST_F(ExplainAttachFailure, NoSuchProcess) {
    EXPECT_EQ(explain(ESRCH), "cannot attach to process 7: no such process");
    EXPECT_EQ(explain(EPERM), "cannot attach to process 7: no such process");
}

TEST_F(ExplainAttachFailure, TracedByAnother) {
    folder_.write("7/status", "Name:\tx\nState:\tS (sleeping)\nTracerPid:\t4711\nVmSize:\t  100 kB\n");
    EXPECT_EQ(explain(EPERM), "cannot attach to process 7: already traced by process 4711");
}

TEST_F(ExplainAttachFailure, TracedByAThreadOfAnother) {
    folder_.write("7/status", "Name:\tx\nState:\tS (sleeping)\nTracerPid:\t4711\nVmSize:\t  100 kB\n");
    folder_.write("4711/status", "Name:\ttd-monitor\nTgid:\t4700\nPid:\t4711\n");
    EXPECT_EQ(explain(EPERM), "cannot attach to process 7: already traced by process 4700");
}

TEST_F(ExplainAttachFailure, TracedByThisThread) {
    const auto traced_by = [&](pid_t tracer) {
        folder_.write("7/status", "Name:\tx\nTracerPid:\t" + std::to_string(tracer) + "\n");
        return is_traced_by_this_thread(7, proc_);
    };
    EXPECT_TRUE(traced_by(gettid()));
    EXPECT_FALSE(traced_by(gettid() + 1));
    EXPECT_FALSE(traced_by(0));
}

TEST_F(ExplainAttachFailure, Zombie) {
    process("Z (zombie)", "");
    EXPECT_EQ(explain(EPERM), "cannot attach to process 7: it has ended");
}

TEST_F(ExplainAttachFailure, KernelThread) {
    process("S (sleeping)", "Kthread:\t1\n");
    EXPECT_EQ(explain(EPERM), "cannot attach to process 7: it is a kernel thread");
    process("S (sleeping)", "");  // older kernels have no Kthread line
    EXPECT_EQ(explain(EPERM), "cannot attach to process 7: it is a kernel thread");
}

TEST_F(ExplainAttachFailure, YamaScope) {
    process("S (sleeping)", "VmSize:\t  100 kB\nKthread:\t0\n");
    folder_.write("sys/kernel/yama/ptrace_scope", "1\n");
    EXPECT_EQ(explain(EPERM), "cannot attach to process 7: kernel.yama.ptrace_scope = 1 forbids it");
}

TEST_F(ExplainAttachFailure, NoPermission) {
    process("S (sleeping)", "VmSize:\t  100 kB\nKthread:\t0\n");
    const std::string expected =
        "cannot attach to process 7: operation not permitted (it takes the same user, or CAP_SYS_PTRACE)";
    EXPECT_EQ(explain(EPERM), expected);  // no yama in the kernel
    folder_.write("sys/kernel/yama/ptrace_scope", "0\n");
    EXPECT_EQ(explain(EPERM), expected);
}

TEST_F(ExplainAttachFailure, OtherErrorsAreToldAsTheyAre) {
    process("S (sleeping)", "VmSize:\t  100 kB\n");
    EXPECT_EQ(explain(EINVAL), "cannot attach to process 7: invalid argument");
}

TEST(AttachProcess, RefusesOurselvesAndNobody) {
    EXPECT_THROW(attach_process(getpid(), 0), Error);
    EXPECT_THROW(attach_process(0x7fffffff, 0), Error);
}

}  // namespace
}  // namespace tracedump
