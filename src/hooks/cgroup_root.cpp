#include "hooks/cgroup_root.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <cerrno>
#include <iterator>
#include <sstream>
#include <vector>

#include "util/error.h"
#include "util/procfs.h"

namespace tracedump {

namespace {

/// Blanks and backslashes in paths are octal there.
std::string unescaped(const std::string& text) {
    std::string path;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\\' && i + 3 < text.size()) {
            path.push_back(static_cast<char>(std::stoi(text.substr(i + 1, 3), nullptr, 8)));
            i += 3;
        } else {
            path.push_back(text[i]);
        }
    }
    return path;
}

/// A cgroup namespace shows a part as the whole (cgroup_namespaces(7)): but the topmost cgroup's id, which is its
/// inode's number, is 1.
CgroupRoot checked(CgroupRoot root) {
    constexpr ino_t kTopmost = 1;
    struct stat status {};
    if (fstat(root.folder.get(), &status) != 0) throw_errno(errno, fmt::format("looking at {}", root.name));
    if (status.st_ino != kTopmost)
        throw Error(
            fmt::format("{} is not the topmost cgroup, from which all processes can be seen (we are in a cgroup "
                        "namespace)",
                        root.name));
    return root;
}

}  // namespace

std::optional<std::string> find_cgroup_root(std::string_view mountinfo) {
    std::istringstream lines{std::string(mountinfo)};
    for (std::string line; std::getline(lines, line);) {
        std::istringstream words(line);
        const std::vector<std::string> fields{std::istream_iterator<std::string>(words), {}};
        // id, parent, device, root, mount point, options, optional fields, "-", type, ...
        std::size_t separator = 6;
        while (separator < fields.size() && fields[separator] != "-") ++separator;
        if (separator + 1 >= fields.size() || fields[separator + 1] != "cgroup2") continue;
        if (fields[3] == "/") return unescaped(fields[4]);
    }
    return std::nullopt;
}

CgroupRoot open_cgroup_root() {
    if (const auto path = find_cgroup_root(ProcFs().read("self/mountinfo").value_or(""))) {
        UniqueFd folder(open(path->c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (!folder) throw_errno(errno, fmt::format("opening {}", *path));
        return checked({std::move(folder), *path});
    }
    const UniqueFd context(fsopen("cgroup2", FSOPEN_CLOEXEC));
    if (context && fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) == 0)
        if (UniqueFd folder{fsmount(context.get(), FSMOUNT_CLOEXEC, 0)})
            return checked({std::move(folder), "a mount of our own"});
    throw_errno(errno, "no cgroup v2 hierarchy is mounted, and none can be");
}

}  // namespace tracedump
