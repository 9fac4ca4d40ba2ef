// A network namespace for a test alone, in the state that a shell script makes.
#pragma once

#include <gtest/gtest.h>
#include <sched.h>

#include <cstdlib>
#include <thread>

namespace tracedump::test {

/// Runs `test` in a thread that is alone in a new network namespace, when `script` has been run there. Skips where that
/// is not allowed.
template <typename Test>
void in_new_network(const char* script, Test test) {
    bool allowed = false;
    std::thread([&] {
        allowed = unshare(CLONE_NEWNET) == 0;
        if (!allowed) return;
        ASSERT_EQ(std::system(script), 0);
        test();
    }).join();
    if (!allowed) GTEST_SKIP() << "no CAP_SYS_ADMIN";
}

}  // namespace tracedump::test
