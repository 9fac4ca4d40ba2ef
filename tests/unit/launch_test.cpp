// The parts of a launch that need no process.
#include "monitor/launch.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "util/error.h"

namespace tracedump {
namespace {

TEST(ExitStatusOfExecError, IsAShells) {
    EXPECT_EQ(exit_status_of_exec_error(ENOENT), 127);
    EXPECT_EQ(exit_status_of_exec_error(ENOTDIR), 127);
    for (const int error : {EACCES, ENOEXEC, EISDIR, ELOOP, E2BIG, ENOMEM, EPERM})
        EXPECT_EQ(exit_status_of_exec_error(error), 126) << error;
}

TEST(LookUpUser, FindsRoot) {
    const auto root = look_up_user("root");
    EXPECT_EQ(root.name, "root");
    EXPECT_EQ(root.uid, 0U);
    EXPECT_EQ(root.gid, 0U);
    EXPECT_FALSE(root.home.empty());
    EXPECT_NE(std::find(root.groups.begin(), root.groups.end(), gid_t{0}), root.groups.end());
}

TEST(LookUpUser, RefusesAUserThatIsNotThere) {
    try {
        look_up_user("no-such-user-here");
        FAIL() << "no error";
    } catch (const Error& error) {
        EXPECT_STREQ(error.what(), "there is no user no-such-user-here");
    }
    EXPECT_THROW(look_up_user(""), Error);
}

TEST(ReadExecError, IsTheErrnoThatArrivedOrZero) {
    const auto with_errors = [](std::initializer_list<int> errors) {
        int ends[2];
        EXPECT_EQ(pipe(ends), 0);
        const UniqueFd read_end(ends[0]);
        UniqueFd write_end(ends[1]);
        for (const int error : errors) EXPECT_EQ(write(write_end.get(), &error, sizeof error), ssize_t{sizeof error});
        write_end.reset();
        return read_exec_error(read_end);
    };
    EXPECT_EQ(with_errors({ENOENT}), ENOENT);
    EXPECT_EQ(with_errors({}), 0);
}

}  // namespace
}  // namespace tracedump
