#include "writer/output_file.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>

#include "util/error.h"

namespace tracedump {

namespace {

// Linux 6.14, not in every libc: the page cache keeps nothing of what is written, so that no page has to be found for
// it and no other file's is lost.
constexpr int kRwfDontCache = 0x80;

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
    if (path_ != "-") [[maybe_unused]]
        const int result = ftruncate(fd_.get(), 0);
}

ByteSink::Outcome OutputFile::write(std::span<const std::uint8_t> bytes, Haste haste) {
    std::size_t written = 0;
    while (written < bytes.size()) {
        const iovec rest{const_cast<std::uint8_t*>(bytes.data()) + written, bytes.size() - written};
        const bool pass_cache = can_pass_cache_ && haste == Haste::none && rest.iov_len >= kLargePiece;
        const ssize_t n = pwritev2(fd_.get(), &rest, 1, -1, pass_cache ? kRwfDontCache : 0);
        if (n < 0 && pass_cache && (errno == EOPNOTSUPP || errno == EINVAL || errno == ENOSYS)) {
            can_pass_cache_ = false;
            continue;
        }
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
