// Who owns a descriptor, and when it is closed.
#include "util/fd.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <type_traits>

namespace tracedump {
namespace {

static_assert(!std::is_copy_constructible_v<UniqueFd> && !std::is_copy_assignable_v<UniqueFd>);
static_assert(std::is_nothrow_move_constructible_v<UniqueFd> && std::is_nothrow_move_assignable_v<UniqueFd>);

int open_null() { return open("/dev/null", O_RDONLY | O_CLOEXEC); }
bool is_open(int fd) { return fcntl(fd, F_GETFD) >= 0; }

TEST(UniqueFd, IsEmptyAtFirst) {
    EXPECT_FALSE(UniqueFd());
    EXPECT_FALSE(UniqueFd(-1));
    EXPECT_EQ(UniqueFd().get(), -1);
}

TEST(UniqueFd, ClosesAtTheEndOfItsLife) {
    const int raw = open_null();
    {
        const UniqueFd fd(raw);
        EXPECT_TRUE(fd);
        EXPECT_TRUE(is_open(raw));
    }
    EXPECT_FALSE(is_open(raw));
}

TEST(UniqueFd, MovingPassesItOn) {
    const int raw = open_null(), other = open_null();
    UniqueFd first(raw);
    UniqueFd second(std::move(first));
    EXPECT_FALSE(first);  // NOLINT: moved from, and empty
    EXPECT_EQ(second.get(), raw);
    UniqueFd third(other);
    third = std::move(second);
    EXPECT_FALSE(is_open(other));
    EXPECT_EQ(third.get(), raw);
    EXPECT_TRUE(is_open(raw));
}

TEST(UniqueFd, MovingToItselfKeepsIt) {
    UniqueFd fd(open_null());
    UniqueFd& same = fd;
    fd = std::move(same);
    EXPECT_TRUE(fd);
    EXPECT_TRUE(is_open(fd.get()));
}

TEST(UniqueFd, ReleaseGivesItAwayAndResetClosesIt) {
    UniqueFd fd(open_null());
    const int raw = fd.release();
    EXPECT_FALSE(fd);
    EXPECT_TRUE(is_open(raw));
    fd.reset(raw);
    fd.reset();
    EXPECT_FALSE(is_open(raw));
    EXPECT_FALSE(fd);
}

TEST(UniqueFd, ZeroIsADescriptor) {
    UniqueFd fd(0);
    EXPECT_TRUE(fd);
    EXPECT_EQ(fd.release(), 0);
}

}  // namespace
}  // namespace tracedump
