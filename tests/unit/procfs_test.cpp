// A proc folder of the test's own, and the real one of the test itself.
#include "util/procfs.h"

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "helpers.h"
#include "sockets.h"

namespace tracedump {
namespace {

TEST(ProcFs, ReadsStatusFields) {
    test::TempFolder folder;
    folder.write("7/status", "Name:\tsome name\nNameLess:\t1\nTracerPid:\t 42\nEmpty:\nPid:\tx7\nVmSize:\t  100 kB\n");
    const ProcFs proc(folder.path());
    EXPECT_EQ(proc.status_field(7, "Name"), "some name");
    EXPECT_EQ(proc.status_field(7, "Empty"), "");
    EXPECT_FALSE(proc.status_field(7, "Nam"));
    EXPECT_FALSE(proc.status_field(7, "Missing"));
    EXPECT_FALSE(proc.status_field(8, "Name"));
    EXPECT_EQ(proc.status_number(7, "TracerPid"), 42);
    EXPECT_EQ(proc.status_number(7, "VmSize"), 100);
    for (const char* name : {"Name", "Empty", "Pid", "Missing"}) EXPECT_FALSE(proc.status_number(7, name)) << name;
}

TEST(ProcFs, KnowsWhichProcessesExist) {
    test::TempFolder folder;
    folder.write("7/status", "");
    const ProcFs proc(folder.path());
    EXPECT_TRUE(proc.exists(7));
    EXPECT_FALSE(proc.exists(8));
}

TEST(ProcFs, KnowsOnWhichCpuAThreadRan) {
    test::TempFolder folder;
    std::string fields;
    for (int field = 4; field <= 52; ++field) fields += " " + std::to_string(100 + field);
    folder.write("7/stat", "7 (a) b (c) S" + fields + "\n");
    folder.write("8/stat", "8 (cut) S 1 2 3");
    folder.write("9/stat", "");
    const ProcFs proc(folder.path());
    EXPECT_EQ(proc.last_cpu(7), 139);
    for (const pid_t pid : {8, 9, 10}) EXPECT_FALSE(proc.last_cpu(pid)) << pid;
}

TEST(ProcFs, ListsThreads) {
    test::TempFolder folder;
    folder.write("7/task/7/comm", "");
    folder.write("7/task/12/comm", "");
    folder.write("7/task/x13/comm", "");
    folder.write("7/task/14x/comm", "");
    const ProcFs proc(folder.path());
    auto threads = proc.threads(7);
    std::sort(threads.begin(), threads.end());
    EXPECT_EQ(threads, (std::vector<pid_t>{7, 12}));
    EXPECT_TRUE(proc.threads(8).empty());
}

TEST(ProcFs, ListsTheSocketsOfAnIoUring) {
    test::TempFolder folder;
    folder.write("7/task/8/fdinfo/4",
                 "pos:\t0\nSqMask:\t0x7\n    0: user_data:0, res:0, flag:0\nUserFiles:\t4\n    0: socket:[12345]\n"
                 "    1: /dev/null\n    2: <none>\n    3: socket:[4000000000]\nUserBufs:\t0\n    0: socket:[9]\n");
    folder.write("7/task/8/fdinfo/5", "pos:\t0\nflags:\t02000002\n");
    const ProcFs proc(folder.path());
    EXPECT_EQ(proc.sockets_of_io_uring(7, 8, 4), (std::vector<std::uint64_t>{12345, 4000000000}));
    EXPECT_TRUE(proc.sockets_of_io_uring(7, 8, 5).empty());
    EXPECT_TRUE(proc.sockets_of_io_uring(7, 8, 6).empty());
}

TEST(ProcFs, ListsTheDescriptorsThatAreSockets) {
    test::TempFolder folder;
    folder.write("7/task/8/comm", "");
    std::filesystem::create_directory(folder.path("7/task/8/fd"));
    const auto link = [&](const char* fd, const char* target) {
        std::filesystem::create_symlink(target, folder.path(std::string("7/task/8/fd/") + fd));
    };
    link("0", "/dev/null");
    link("3", "socket:[12345]");
    link("4", "pipe:[12346]");
    link("5", "anon_inode:[eventpoll]");
    link("6", "anon_inode:[io_uring]");
    link("100", "socket:[18446744073709551615]");
    link("101", "/a/very/long/path/that/does/not/fit/into/any/small/buffer/socket:[1]");
    const ProcFs proc(folder.path());
    auto found = proc.descriptors(7, 8);
    std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.fd < b.fd; });
    ASSERT_EQ(found.size(), 3U);
    EXPECT_EQ(found[0].fd, 3);
    EXPECT_EQ(found[0].inode, 12345U);
    EXPECT_EQ(found[1].fd, 6);
    EXPECT_EQ(found[1].kind, ProcFs::Descriptor::Kind::io_uring);
    EXPECT_EQ(found[2].fd, 100);
    EXPECT_EQ(found[2].kind, ProcFs::Descriptor::Kind::socket);
    EXPECT_EQ(found[2].inode, 18446744073709551615U);
    EXPECT_TRUE(proc.descriptors(7, 7).empty());
}

TEST(ProcFs, ReadsWholeFiles) {
    test::TempFolder folder;
    folder.write("sys/kernel/yama/ptrace_scope", "1\n");
    folder.write("empty", "");
    const ProcFs proc(folder.path());
    EXPECT_EQ(proc.read("sys/kernel/yama/ptrace_scope"), "1\n");
    EXPECT_EQ(proc.read("empty"), "");
    EXPECT_FALSE(proc.read("missing"));
}

TEST(ProcFs, ReadsTheKernelsOwn) {
    const ProcFs proc;
    const auto tid = static_cast<pid_t>(syscall(SYS_gettid));
    EXPECT_TRUE(proc.exists(getpid()));
    EXPECT_EQ(proc.status_number(getpid(), "Pid"), getpid());
    const auto threads = proc.threads(getpid());
    EXPECT_NE(std::find(threads.begin(), threads.end(), tid), threads.end());
    const auto socket = test::open_socket(AF_INET, SOCK_DGRAM);
    const auto found = proc.descriptors(getpid(), tid);
    EXPECT_TRUE(std::any_of(found.begin(), found.end(), [&](const auto& d) { return d.fd == socket.get(); }));
}

}  // namespace
}  // namespace tracedump
