// Where hooks would see too little. Skipped without the right to make namespaces.
#include "hooks/requirements.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "util/error.h"

namespace tracedump {
namespace {

/// What is missing in a PID namespace, which is a grandchild's; "may not" if none may be made.
std::string missing_in_pid_namespace() {
    int ends[2];
    if (pipe(ends) != 0) return "no pipe";
    const pid_t child = fork();
    if (child == 0) {
        std::string missing;
        if (unshare(CLONE_NEWPID) != 0) missing = "may not";
        if (missing.empty() && fork() != 0) {
            wait(nullptr);
            _exit(0);
        }
        if (missing.empty()) try {
                require_place_for_hooks();
            } catch (const Error& error) {
                missing = error.what();
            }
        _exit(write(ends[1], missing.data(), missing.size()) < 0 ? 1 : 0);
    }
    close(ends[1]);
    std::string said;
    char byte = 0;
    while (read(ends[0], &byte, 1) == 1) said.push_back(byte);
    close(ends[0]);
    waitpid(child, nullptr, 0);
    return said;
}

TEST(Requirements, TheIdsOfProcessesMustBeThoseThatHooksSee) {
    const std::string missing = missing_in_pid_namespace();
    if (missing == "may not") GTEST_SKIP() << missing;
    EXPECT_NE(missing.find("PID namespace"), std::string::npos) << missing;
}

}  // namespace
}  // namespace tracedump
