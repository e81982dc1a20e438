/* Preloaded into a replica: its wall clock is SKEW_SECONDS off. Steady clocks and the database's are as they are. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t id, struct timespec *at) {
    int result = (int)syscall(SYS_clock_gettime, id, at);
    const char *skew = getenv("SKEW_SECONDS");
    if (result == 0 && id == CLOCK_REALTIME && skew) at->tv_sec += atoi(skew);
    return result;
}
