// Where the unified cgroup hierarchy is, from the text of mountinfo.
#include "hooks/cgroup_root.h"

#include <gtest/gtest.h>

namespace tracedump {
namespace {

constexpr const char* kOthers =
    "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
    "30 22 0:26 / /sys/fs/cgroup ro - tmpfs tmpfs ro\n"
    "31 30 0:27 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n";

std::optional<std::string> find(const std::string& line) { return find_cgroup_root(kOthers + line); }

TEST(CgroupRoot, OfAUnifiedHierarchy) {
    EXPECT_EQ(find("35 24 0:30 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"),
              "/sys/fs/cgroup");
}

TEST(CgroupRoot, OfAHybridOne) {
    EXPECT_EQ(find("33 30 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"), "/sys/fs/cgroup/unified");
}

TEST(CgroupRoot, TheWholeAndNotAPart) {
    EXPECT_EQ(find("40 22 0:29 /user.slice /mnt/part rw - cgroup2 none rw\n"
                   "41 22 0:29 / /mnt/whole rw shared:1 master:2 - cgroup2 none rw\n"),
              "/mnt/whole");
    EXPECT_EQ(find("40 22 0:29 /user.slice /mnt/part rw - cgroup2 none rw\n"), std::nullopt);
}

TEST(CgroupRoot, BlanksInItsPath) {
    EXPECT_EQ(find("41 22 0:29 / /mnt/the\\040whole rw - cgroup2 none rw\n"), "/mnt/the whole");
}

TEST(CgroupRoot, NoneAtAll) {
    EXPECT_EQ(find(""), std::nullopt);
    EXPECT_EQ(find("garbage\n41 22 0:29 / /mnt -\n"), std::nullopt);
    EXPECT_EQ(find_cgroup_root(""), std::nullopt);
}

}  // namespace
}  // namespace tracedump
