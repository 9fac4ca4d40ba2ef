#include "writer/output_file.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "util/error.h"

namespace tracedump {

namespace {

UniqueFd open_output(const std::string& path, bool& created) {
    if (path == "-") {
        if (isatty(STDOUT_FILENO)) throw Error("the capture is binary: send standard output to a file or a pipe");
        UniqueFd fd(fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
        if (!fd) throw_errno(errno, "cannot write to standard output");
        return fd;
    }
    constexpr int kFlags = O_WRONLY | O_CREAT | O_CLOEXEC;
    UniqueFd fd(::open(path.c_str(), kFlags | O_EXCL, 0666));
    created = static_cast<bool>(fd);
    if (!fd) fd.reset(::open(path.c_str(), kFlags, 0666));
    if (!fd) throw_errno(errno, fmt::format("cannot open {} for the capture", path));
    return fd;
}

}  // namespace

OutputFile::OutputFile(const std::string& path) : path_(path), fd_(open_output(path, created_)) {}

OutputFile::~OutputFile() {
    if (created_) unlink(path_.c_str());
}

void OutputFile::clear() {
    created_ = false;
    // Standard output may be a file into which others have written before us; a pipe cannot be cut.
    if (path_ != "-") can_pass_cache_ = ftruncate(fd_.get(), 0) == 0;
}

ByteSink::Outcome OutputFile::write(std::span<const std::uint8_t> bytes, Haste haste, Rest rest) {
    if (!passes_cache(bytes, haste)) return write_all(bytes);
    // The unit that is begun is filled up, then come whole ones.
    const std::size_t head = (kUnit - place_in_unit()) % kUnit;
    const Outcome filled = write_all(bytes.first(head));
    if (filled.error != 0) return filled;
    const std::size_t whole = (bytes.size() - head) / kUnit * kUnit;
    const std::size_t passed = write_past_cache(bytes.subspan(head, whole));
    if (passed == whole && rest == Rest::may_wait) return {head + whole, 0};
    const Outcome last = write_all(bytes.subspan(head + passed));
    return {head + passed + last.written, last.error};
}

std::size_t OutputFile::place_in_unit() const {
    const off_t end = lseek(fd_.get(), 0, SEEK_CUR);
    return end < 0 ? 0 : static_cast<std::size_t>(end) % kUnit;  // a pipe has no units
}

bool OutputFile::passes_cache(std::span<const std::uint8_t> bytes, Haste haste) const {
    return can_pass_cache_ && haste == Haste::none && bytes.size() >= kLargePiece &&
           reinterpret_cast<std::uintptr_t>(bytes.data()) % kUnit == place_in_unit();
}

/// Returns how much it could write: whatever went wrong, the page cache is to be tried.
std::size_t OutputFile::write_past_cache(std::span<const std::uint8_t> bytes) {
    const int flags = fcntl(fd_.get(), F_GETFL);
    if (fcntl(fd_.get(), F_SETFL, flags | O_DIRECT) != 0) {  // not known to this file system
        can_pass_cache_ = false;
        return 0;
    }
    const Outcome outcome = write_all(bytes);
    if (outcome.error == EINVAL) can_pass_cache_ = false;  // known, but with other units
    fcntl(fd_.get(), F_SETFL, flags);
    return outcome.written;
}

ByteSink::Outcome OutputFile::write_all(std::span<const std::uint8_t> bytes) {
    std::size_t written = 0;
    while (written < bytes.size()) {
        const ssize_t n = ::write(fd_.get(), bytes.data() + written, bytes.size() - written);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) {  // a pipe that somebody has made non-blocking
            pollfd ready{fd_.get(), POLLOUT, 0};
            poll(&ready, 1, -1);
            continue;
        }
        if (n < 0) return {written, errno};
        written += static_cast<std::size_t>(n);
    }
    return {written, 0};
}

void OutputFile::take_back(std::size_t bytes) {
    const off_t end = lseek(fd_.get(), 0, SEEK_CUR);
    if (end < static_cast<off_t>(bytes)) return;  // not seekable, or not ours to cut
    const off_t kept = end - static_cast<off_t>(bytes);
    if (ftruncate(fd_.get(), kept) == 0) lseek(fd_.get(), kept, SEEK_SET);
}

}  // namespace tracedump
