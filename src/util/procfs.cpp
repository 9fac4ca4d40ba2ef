#include "util/procfs.h"

#include <dirent.h>
#include <unistd.h>

#include <charconv>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>

#include <fmt/format.h>

namespace tracedump {

namespace {

/// The entries of a folder whose names are numbers.
template <typename Number>
std::vector<Number> numbered_entries(const std::string& path) {
    std::vector<Number> entries;
    const std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir(path.c_str()), closedir);
    if (!folder) return entries;
    while (const dirent* entry = readdir(folder.get())) {
        Number number{};
        const char* end = entry->d_name + std::strlen(entry->d_name);
        const auto [stop, error] = std::from_chars(entry->d_name, end, number);
        if (error == std::errc{} && stop == end) entries.push_back(number);
    }
    return entries;
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
    if (!text) return std::nullopt;
    long number = 0;
    const auto [stop, error] = std::from_chars(text->data(), text->data() + text->size(), number);
    if (error != std::errc{}) return std::nullopt;
    return number;
}

bool ProcFs::exists(pid_t pid) const { return access(fmt::format("{}/{}", root_, pid).c_str(), F_OK) == 0; }

std::vector<pid_t> ProcFs::threads(pid_t pid) const {
    return numbered_entries<pid_t>(fmt::format("{}/{}/task", root_, pid));
}

std::vector<int> ProcFs::socket_descriptors(pid_t pid, pid_t tid) const {
    // Through task/TID: the leader may be a zombie, whose own fd folder is empty.
    const std::string folder = fmt::format("{}/{}/task/{}/fd", root_, pid, tid);
    std::vector<int> sockets;
    for (const int fd : numbered_entries<int>(folder)) {
        char target[32] = {};
        const auto length = readlink(fmt::format("{}/{}", folder, fd).c_str(), target, sizeof target - 1);
        if (length > 0 && std::strncmp(target, "socket:", 7) == 0) sockets.push_back(fd);
    }
    return sockets;
}

}  // namespace tracedump
