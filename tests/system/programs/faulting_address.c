// Calls with an address in memory that is not there yet: the kernel's read of it waits until another thread provides
// the page (userfaultfd(2)). A tracer that waited for that page would wait for a thread that it has stopped itself.
//   faulting_address IPV4 PORT
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "address.h"

enum { PAGE = 4096 };

static struct sockaddr_in to;
static int faults;

static void* provide(void* unused) {
    (void)unused;
    static char page[PAGE] __attribute__((aligned(PAGE)));
    memcpy(page, &to, sizeof to);
    for (struct uffd_msg fault; read(faults, &fault, sizeof fault) == sizeof fault;) {
        send_word(&to, "provided");  // a call that a tracer stops
        struct uffdio_copy copy = {
            .dst = fault.arg.pagefault.address & ~(PAGE - 1ULL), .src = (unsigned long)page, .len = PAGE};
        ioctl(faults, UFFDIO_COPY, &copy);
    }
    return NULL;
}

static const struct sockaddr* missing_address(char* memory) {
    madvise(memory, PAGE, MADV_DONTNEED);
    return (const struct sockaddr*)memory;
}

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    to = address_of(argv[1], argv[2]);
    faults = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
    struct uffdio_api api = {.api = UFFD_API};
    char* memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct uffdio_register range = {.range = {(unsigned long)memory, PAGE}, .mode = UFFDIO_REGISTER_MODE_MISSING};
    if (faults < 0 || ioctl(faults, UFFDIO_API, &api) != 0 || ioctl(faults, UFFDIO_REGISTER, &range) != 0) {
        perror("userfaultfd");
        return 1;
    }
    pthread_t thread;
    pthread_create(&thread, NULL, provide, NULL);

    const int udp = socket(AF_INET, SOCK_DGRAM, 0), tcp = socket(AF_INET, SOCK_STREAM, 0);
    printf("sendto: %zd\n", sendto(udp, "x", 1, 0, missing_address(memory), sizeof to));
    printf("connect: %d\n", connect(tcp, missing_address(memory), sizeof to));
    printf("write: %zd\n", write(tcp, "hello", 5));
    const struct linger at_once = {1, 0};
    setsockopt(tcp, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(tcp);
    return 0;
}
