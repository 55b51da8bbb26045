/* Preloaded into the gateway: writes and fsyncs of the files named by $DISK_FAULTS_OF fail, are torn or take long, as
 * the file $DISK_FAULTS says at each of them: "write", "torn", "full", "sync", or "slow MILLISECONDS"; anything else:
 * none. Each fault that happened adds a byte to $DISK_FAULTS.hits. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

/* Is the file one of those that fail? */
static bool is_meant(int fd)
{
	const char *of = getenv("DISK_FAULTS_OF");
	char link[64], path[PATH_MAX];
	ssize_t n;

	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	n = of ? readlink(link, path, sizeof path - 1) : -1;
	if (n < 0)
		return false;
	path[n] = '\0';
	return strstr(path, of) && !strstr(path, ".lock");
}

static void fault_read(char fault[64])
{
	const char *control = getenv("DISK_FAULTS");
	int fd = control ? open(control, O_RDONLY | O_CLOEXEC) : -1;
	ssize_t n = fd >= 0 ? read(fd, fault, 63) : 0;

	fault[n > 0 ? n : 0] = '\0';
	if (fd >= 0)
		close(fd);
}

static void hit(void)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof path, "%s.hits", getenv("DISK_FAULTS"));
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	if (syscall(SYS_write, fd, "x", 1) != 1)
		abort();
	close(fd);
}

static bool begins(const char *fault, const char *with)
{
	return strncmp(fault, with, strlen(with)) == 0;
}

/* Of how many bytes are written: -1 for no fault. Sets errno. */
static ssize_t written_of(int fd, size_t n)
{
	char fault[64];

	fault_read(fault);
	if (!*fault || !is_meant(fd))
		return -1;
	errno = begins(fault, "full") ? ENOSPC : EIO;
	if (begins(fault, "write"))
		return 0;
	return begins(fault, "torn") || begins(fault, "full") ? (ssize_t)(n / 2) : -1;
}

typedef ssize_t pwrite_f(int fd, const void *data, size_t n, off64_t at);
typedef ssize_t write_f(int fd, const void *data, size_t n);
typedef int fsync_f(int fd);

static ssize_t pwrite_faulty(const char *name, int fd, const void *data, size_t n, off64_t at)
{
	pwrite_f *real;
	ssize_t part = written_of(fd, n);
	int error = errno;

	*(void **)&real = dlsym(RTLD_NEXT, name);
	if (part < 0)
		return real(fd, data, n, at);
	hit();
	if (part > 0)
		(void)!real(fd, data, (size_t)part, at);
	errno = error;
	return -1;
}

ssize_t pwrite(int fd, const void *data, size_t n, off_t at)
{
	return pwrite_faulty("pwrite", fd, data, n, at);
}

ssize_t pwrite64(int fd, const void *data, size_t n, off64_t at)
{
	return pwrite_faulty("pwrite64", fd, data, n, at);
}

ssize_t write(int fd, const void *data, size_t n)
{
	write_f *real;
	ssize_t part = written_of(fd, n);
	int error = errno;

	*(void **)&real = dlsym(RTLD_NEXT, "write");
	if (part < 0)
		return real(fd, data, n);
	hit();
	if (part > 0)
		(void)!real(fd, data, (size_t)part);
	errno = error;
	return -1;
}

static int sync_faulty(const char *name, int fd)
{
	fsync_f *real;
	char fault[64];

	*(void **)&real = dlsym(RTLD_NEXT, name);
	fault_read(fault);
	if (!*fault || !is_meant(fd))
		return real(fd);
	if (begins(fault, "sync")) {
		hit();
		errno = EIO;
		return -1;
	}
	if (begins(fault, "slow ")) {
		long ms = strtol(fault + 5, NULL, 10);
		struct timespec wait = {ms / 1000, ms % 1000 * 1000000};

		hit();
		nanosleep(&wait, NULL);
	}
	return real(fd);
}

int fsync(int fd)
{
	return sync_faulty("fsync", fd);
}

int fdatasync(int fd)
{
	return sync_faulty("fdatasync", fd);
}
