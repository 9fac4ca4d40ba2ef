// Processes that make processes, until there were so many; each sends a datagram from a socket of its own. At most two
// levels live at a time beside the waiting parents. Ends with 0 when all have ended well.
//   many_processes IPV4 PORT COUNT
#define _GNU_SOURCE
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "address.h"

static struct sockaddr_in to;
static atomic_int* left;

static int live(void) {
    int failed = !send_word(&to, "process");
    pid_t children[2] = {-1, -1};
    for (int i = 0; i < 2; ++i) {
        if (atomic_fetch_sub(left, 1) <= 0) break;
        children[i] = fork();
        if (children[i] == 0) _exit(live());
        failed |= children[i] < 0;
    }
    for (int i = 0; i < 2; ++i) {
        int status = 0;
        if (children[i] > 0) failed |= waitpid(children[i], &status, 0) != children[i] || status != 0;
    }
    return failed;
}

int main(int argc, char** argv) {
    if (argc != 4) return 2;
    to = address_of(argv[1], argv[2]);
    left = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    atomic_store(left, atoi(argv[3]) - 1);
    return live();
}
