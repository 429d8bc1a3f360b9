/* A medium that fails on demand, put in front of the C library's calls (LD_PRELOAD). The first word of the file that
   MEDIUM_SCRIPT names says how: "read-only", "full", "sync-fails" or "stalls"; anything else is a sound medium. Only
   files below MEDIUM_DIR are concerned. Each sync is counted in the file beside the script, ".syncs". */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static int real_open(const char *path, int flags, mode_t mode) {
    static int (*next)(const char *, int, ...);
    if (!next) next = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open");
    return next(path, flags, mode);
}

static int says(const char *word) {
    char text[32] = {0};
    const char *script = getenv("MEDIUM_SCRIPT");
    int fd = script ? real_open(script, O_RDONLY | O_CLOEXEC, 0) : -1;
    if (fd < 0) return 0;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    return n > 0 && strncmp(text, word, strlen(word)) == 0;
}

static int ours(const char *path) {
    const char *dir = getenv("MEDIUM_DIR");
    return dir && strncmp(path, dir, strlen(dir)) == 0;
}

static int fd_ours(int fd) {
    char link[64], path[4096];
    int saved = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    errno = saved;
    if (n <= 0) return 0;
    path[n] = 0;
    return ours(path);
}

static int refuse(int error) { errno = error; return -1; }

static int written(int fd) {
    if (!fd_ours(fd)) return 0;
    if (says("read-only")) return EROFS;
    if (says("full")) return ENOSPC;
    return 0;
}

#define OPEN(name)                                                                                  \
    int name(const char *path, int flags, ...) {                                                    \
        static int (*next)(const char *, int, ...);                                                 \
        if (!next) next = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, #name);                 \
        va_list rest; va_start(rest, flags); mode_t mode = va_arg(rest, int); va_end(rest);         \
        if (ours(path) && (flags & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC)) && says("read-only"))   \
            return refuse(EROFS);                                                                   \
        return next(path, flags, mode);                                                             \
    }
OPEN(open)
OPEN(open64)

#define PWRITE(name, offset_t)                                                                      \
    ssize_t name(int fd, const void *bytes, size_t n, offset_t at) {                                \
        static ssize_t (*next)(int, const void *, size_t, offset_t);                                \
        if (!next) next = (ssize_t (*)(int, const void *, size_t, offset_t))dlsym(RTLD_NEXT, #name); \
        int error = written(fd);                                                                    \
        return error ? refuse(error) : next(fd, bytes, n, at);                                      \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

ssize_t write(int fd, const void *bytes, size_t n) {
    static ssize_t (*next)(int, const void *, size_t);
    if (!next) next = (ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
    int error = written(fd);
    return error ? refuse(error) : next(fd, bytes, n);
}

static void counted(const char *name) {
    char path[4096];
    snprintf(path, sizeof path, "%s.syncs", getenv("MEDIUM_SCRIPT"));
    int fd = real_open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0) return;
    if (write(fd, name, strlen(name)) < 0) { /* the count is short, and the test says so */ }
    close(fd);
}

#define SYNC(name)                                                                                  \
    int name(int fd) {                                                                              \
        static int (*next)(int);                                                                    \
        if (!next) next = (int (*)(int))dlsym(RTLD_NEXT, #name);                                    \
        if (fd_ours(fd)) {                                                                          \
            counted(#name "\n");                                                                    \
            if (says("sync-fails")) return refuse(EIO);                                             \
            while (says("stalls")) usleep(2000);                                                    \
        }                                                                                           \
        return next(fd);                                                                            \
    }
SYNC(fsync)
SYNC(fdatasync)
