#include "util/procfs.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>

#include <fmt/format.h>

namespace tracedump {

namespace {

constexpr std::string_view kSocket = "socket:[";

/// Calls visit(number, folder's descriptor, name) for each entry of a folder whose name is a number.
template <typename Visit>
void for_each_numbered_entry(const std::string& path, Visit visit) {
    const std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir(path.c_str()), closedir);
    if (!folder) return;
    while (const dirent* entry = readdir(folder.get())) {
        int number = 0;
        const char* end = entry->d_name + std::strlen(entry->d_name);
        const auto [stop, error] = std::from_chars(entry->d_name, end, number);
        if (error == std::errc{} && stop == end) visit(number, dirfd(folder.get()), entry->d_name);
    }
}

/// That the text begins with.
template <typename Number>
std::optional<Number> number_in(std::string_view text) {
    Number number = 0;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{}) return std::nullopt;
    return number;
}

}  // namespace

std::optional<std::string> ProcFs::read(const std::string& path) const {
    std::ifstream file(root_ + "/" + path);
    if (!file) return std::nullopt;
    return std::string(std::istreambuf_iterator<char>(file), {});
}

std::optional<std::string> ProcFs::status_field(pid_t pid, const std::string& name) const {
    std::ifstream status(fmt::format("{}/{}/status", root_, pid));
    for (std::string line; std::getline(status, line);) {
        if (line.size() <= name.size() || line.compare(0, name.size(), name) != 0 || line[name.size()] != ':') continue;
        const auto value = line.find_first_not_of(" \t", name.size() + 1);
        return value == std::string::npos ? std::string() : line.substr(value);
    }
    return std::nullopt;
}

std::optional<long> ProcFs::status_number(pid_t pid, const std::string& name) const {
    const auto text = status_field(pid, name);
    return text ? number_in<long>(*text) : std::nullopt;
}

bool ProcFs::exists(pid_t pid) const { return access(fmt::format("{}/{}", root_, pid).c_str(), F_OK) == 0; }

std::optional<int> ProcFs::last_cpu(pid_t tid) const {
    const auto stat = read(fmt::format("{}/stat", tid));
    if (!stat) return std::nullopt;
    // "PID (COMMAND) STATE ...": what the command is called may have anything in it.
    constexpr int kState = 3, kProcessor = 39;
    std::size_t at = stat->rfind(')');
    for (int field = kState; field <= kProcessor && at != std::string::npos; ++field) at = stat->find(' ', at + 1);
    if (at == std::string::npos) return std::nullopt;
    return number_in<int>(std::string_view(*stat).substr(at + 1));
}

std::vector<pid_t> ProcFs::threads(pid_t pid) const {
    std::vector<pid_t> threads;
    for_each_numbered_entry(fmt::format("{}/{}/task", root_, pid),
                            [&](int tid, int, const char*) { threads.push_back(tid); });
    return threads;
}

std::int64_t ProcFs::descriptor_count(pid_t pid) const {
    struct stat status {};
    return stat(fmt::format("{}/{}/fd", root_, pid).c_str(), &status) == 0 ? status.st_size : 0;
}

std::vector<int> ProcFs::open_descriptors(pid_t pid) const {
    std::vector<int> found;
    for_each_numbered_entry(fmt::format("{}/{}/fd", root_, pid), [&](int fd, int folder, const char*) {
        if (fd != folder) found.push_back(fd);
    });
    return found;
}

std::vector<std::uint64_t> ProcFs::sockets_of_io_uring(pid_t pid, pid_t tid, int fd) const {
    // "UserFiles: 2" and then "    0: socket:[123]" for each that is in use (io_uring/fdinfo.c).
    std::ifstream info(fmt::format("{}/{}/task/{}/fdinfo/{}", root_, pid, tid, fd));
    std::vector<std::uint64_t> inodes;
    bool files = false;
    for (std::string line; std::getline(info, line);) {
        if (!line.starts_with(' ')) files = line.starts_with("UserFiles:");
        const auto at = line.find(kSocket);
        if (!files || at == std::string::npos) continue;
        std::uint64_t inode = 0;
        std::from_chars(line.data() + at + kSocket.size(), line.data() + line.size(), inode);
        inodes.push_back(inode);
    }
    return inodes;
}

std::vector<ProcFs::Descriptor> ProcFs::descriptors(pid_t pid, pid_t tid) const {
    constexpr std::string_view kIoUring = "anon_inode:[io_uring]";
    // Through task/TID: the leader may be a zombie, whose own fd folder is empty.
    std::vector<Descriptor> found;
    for_each_numbered_entry(
        fmt::format("{}/{}/task/{}/fd", root_, pid, tid), [&](int fd, int folder, const char* name) {
            char buffer[32] = {};
            const auto length = readlinkat(folder, name, buffer, sizeof buffer - 1);
            const std::string_view target(buffer, length > 0 ? static_cast<std::size_t>(length) : 0);
            if (target == kIoUring) found.push_back({fd, Descriptor::Kind::io_uring, 0});
            if (!target.starts_with(kSocket)) return;
            std::uint64_t inode = 0;
            std::from_chars(target.data() + kSocket.size(), target.data() + target.size(), inode);
            found.push_back({fd, Descriptor::Kind::socket, inode});
        });
    return found;
}

}  // namespace tracedump
