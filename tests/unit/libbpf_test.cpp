// What libbpf may change of this process.
#include "util/libbpf.h"

#include <gtest/gtest.h>

namespace tracedump {
namespace {

TEST(MemlockLimitKept, EndsWithTheLimitThatItFound) {
    rlimit before{};
    ASSERT_EQ(getrlimit(RLIMIT_MEMLOCK, &before), 0);
    {
        const MemlockLimitKept kept;
        const rlimit other{0, before.rlim_max};
        ASSERT_EQ(setrlimit(RLIMIT_MEMLOCK, &other), 0);
    }
    rlimit after{};
    ASSERT_EQ(getrlimit(RLIMIT_MEMLOCK, &after), 0);
    EXPECT_EQ(after.rlim_cur, before.rlim_cur);
    EXPECT_EQ(after.rlim_max, before.rlim_max);
}

}  // namespace
}  // namespace tracedump
