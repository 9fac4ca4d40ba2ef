// The number is free at once; the file is released soon after.
#include "util/background_close.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

namespace tracedump {
namespace {

TEST(BackgroundClose, ReleasesTheFile) {
    int ends[2];
    ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
    const UniqueFd reader(ends[0]);
    close_in_background(UniqueFd(ends[1]));
    EXPECT_EQ(fcntl(ends[1], F_GETFD), -1);
    pollfd end_of_file{reader.get(), POLLIN, 0};
    ASSERT_EQ(poll(&end_of_file, 1, 10'000), 1);
    EXPECT_EQ(end_of_file.revents, POLLHUP);
}

TEST(BackgroundClose, OfNothingDoesNothing) { close_in_background(UniqueFd()); }

}  // namespace
}  // namespace tracedump
