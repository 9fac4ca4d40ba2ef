// The texts of errors.
#include "util/error.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace tracedump {
namespace {

TEST(ErrnoText, ReadsOnAfterAColon) {
    EXPECT_EQ(errno_text(ESRCH), "no such process");
    EXPECT_EQ(errno_text(ENOSPC), "no space left on device");
    EXPECT_EQ(errno_text(EDOTDOT), "RFS specific error");  // keeps its capitals
    EXPECT_FALSE(errno_text(99999).empty());
}

TEST(ThrowErrno, SaysWhatWasTriedAndWhyItFailed) {
    try {
        throw_errno(EACCES, "cannot open x");
    } catch (const Error& error) {
        EXPECT_STREQ(error.what(), "cannot open x: permission denied");
    }
}

}  // namespace
}  // namespace tracedump
