#include "util/background_close.h"

#include <linux/io_uring.h>
#include <sys/syscall.h>

namespace tracedump {

void close_in_background(UniqueFd fd) {
    // What is registered with a ring belongs to it, and a ring is taken down by a worker of the kernel
    // (io_ring_exit_work in io_uring/io_uring.c).
    io_uring_params parameters{};
    const UniqueFd ring(static_cast<int>(syscall(SYS_io_uring_setup, 1, &parameters)));
    const int file = fd.get();
    if (ring) syscall(SYS_io_uring_register, ring.get(), IORING_REGISTER_FILES, &file, 1);
    // Before the ring is given up: whoever lets go last releases the file, and that is to be the worker.
    fd.reset();
}

}  // namespace tracedump
