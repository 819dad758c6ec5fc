#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SHOWN __attribute__((visibility("default")))
#define CORES "/sys/devices/system/cpu/cpu"

typedef FILE *(*opener)(const char *, const char *);

SHOWN int get_nprocs(void) { return 1; }

static FILE *open_unless_other_core(const char *name, const char *path, const char *mode) {
    const char *core = path + sizeof CORES - 1;
    if (strncmp(path, CORES, sizeof CORES - 1) == 0 && *core >= '1' && *core <= '9') {
        errno = ENOENT;
        return NULL;
    }
    return ((opener)dlsym(RTLD_NEXT, name))(path, mode);
}

SHOWN FILE *fopen(const char *path, const char *mode) {
    return open_unless_other_core("fopen", path, mode);
}

SHOWN FILE *fopen64(const char *path, const char *mode) {
    return open_unless_other_core("fopen64", path, mode);
}
