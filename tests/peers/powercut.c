/* Preloaded into the gateway: keeps beside its files an image of what a power failure would leave of them.
 *
 * POWERCUT_DIR is the directory of the files, POWERCUT_PLATTER one for the image. The files themselves are what the
 * system's page cache would hold: everything written is in them. Only when the program syncs a file is its content
 * copied to the platter, and only when it syncs a directory are the names in it. The platter holds
 *
 *   data.<id>    the content of a file at its last sync
 *   names.<id>   the names in a directory at its last sync: one line for each, `f <id> <name>` or `d <id> <name>`
 *
 * where <id> is the inode's number and the nanosecond at which it was made, so that a number used again is another
 * file. The root directory is `names.root`. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK (64 * 1024)

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

static void stop(const char *what)
{
    fprintf(stderr, "powercut: %s: %s\n", what, strerror(errno));
    abort();
}

/* Whether a path is the directory that is watched, or in it. */
static int watched(const char *path)
{
    const char *dir = getenv("POWERCUT_DIR");
    size_t len = dir ? strlen(dir) : 0;
    return len > 0 && strncmp(path, dir, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

static int is_root(const char *path) { return strcmp(path, getenv("POWERCUT_DIR")) == 0; }

static void id_of(int fd, const char *name, char id[64])
{
    struct statx st;
    int flags = AT_SYMLINK_NOFOLLOW | (name[0] ? 0 : AT_EMPTY_PATH);
    if (statx(fd, name, flags, STATX_INO | STATX_BTIME, &st) != 0)
        stop("statx");
    snprintf(id, 64, "%llu-%lld-%u", (unsigned long long)st.stx_ino, (long long)st.stx_btime.tv_sec,
             st.stx_btime.tv_nsec);
}

static int on_platter(const char *kind, const char *id)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s.%s", getenv("POWERCUT_PLATTER"), kind, id);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        stop(path);
    return fd;
}

/* Writes to the platter what differs from the file. */
static void copy_file(const char *path, const char *id)
{
    static char now[CHUNK], then[CHUNK];
    int from = open(path, O_RDONLY | O_CLOEXEC);
    if (from < 0)
        return; /* Deleted meanwhile: no name will lead to it. */
    int to = on_platter("data", id);
    off_t at = 0;
    for (;;) {
        ssize_t len = pread(from, now, CHUNK, at);
        if (len < 0)
            stop("pread");
        if (len == 0)
            break;
        ssize_t old = pread(to, then, (size_t)len, at);
        if ((old != len || memcmp(now, then, (size_t)len) != 0) && pwrite(to, now, (size_t)len, at) != len)
            stop("pwrite");
        at += len;
    }
    if (ftruncate(to, at) != 0)
        stop("ftruncate");
    close(from);
    close(to);
}

static void copy_names(const char *path, const char *id)
{
    char made[PATH_MAX], final[PATH_MAX];
    DIR *dir = opendir(path);
    if (!dir)
        stop("opendir");
    snprintf(made, sizeof made, "%s/new.%d", getenv("POWERCUT_PLATTER"), getpid());
    snprintf(final, sizeof final, "%s/names.%s", getenv("POWERCUT_PLATTER"), id);
    FILE *out = fopen(made, "we");
    if (!out)
        stop("fopen");
    for (struct dirent *entry; (entry = readdir(dir));) {
        char child[64];
        struct stat st;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        id_of(dirfd(dir), entry->d_name, child);
        fprintf(out, "%c %s %s\n", S_ISDIR(st.st_mode) ? 'd' : 'f', child, entry->d_name);
    }
    closedir(dir);
    if (fclose(out) != 0 || rename(made, final) != 0)
        stop("names");
}

static void note(int fd)
{
    char link[64], path[PATH_MAX], id[64];
    struct stat st;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, sizeof path - 1);
    if (len < 0)
        return;
    path[len] = '\0';
    if (!watched(path) || fstat(fd, &st) != 0)
        return;
    if (pthread_mutex_lock(&turn) != 0)
        stop("lock");
    if (S_ISDIR(st.st_mode)) {
        if (is_root(path))
            strcpy(id, "root");
        else
            id_of(fd, "", id);
        copy_names(path, id);
    } else {
        id_of(fd, "", id);
        copy_file(path, id);
    }
    pthread_mutex_unlock(&turn);
}

static int synced(const char *name, int fd)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    int outcome = real(fd);
    if (outcome == 0)
        note(fd);
    return outcome;
}

int fsync(int fd) { return synced("fsync", fd); }
int fdatasync(int fd) { return synced("fdatasync", fd); }
