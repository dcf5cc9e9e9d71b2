/*
 * slow_disk: a disk image whose flush takes a while and that serves one flush at a time.
 *
 * usage: slow_disk DIRECTORY MEGABYTES FLUSH_MS
 *
 * A file system in user space (the kernel's FUSE protocol, spoken directly) with a single file, DIRECTORY/image, kept in
 * memory. A loop device on that file is a disk for any file system: reads and writes are as fast as memory, each flush
 * that the kernel sends to the disk waits its turn and then FLUSH_MS. On SIGUSR1 the number of flushes so far
 * is printed. Ends when DIRECTORY is unmounted. See disk, which sets all this up.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { IMAGE = 2, WRITE_MAX = 1 << 20, REQUEST_MAX = WRITE_MAX + 4096, FLUSHES_MAX = 1024 };

static int device;
static char *image;
static uint64_t size;
static struct timespec flush_time;
static volatile sig_atomic_t flushes;

/* Flushes that wait, by request. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
static uint64_t waiting[FLUSHES_MAX];
static unsigned first, count;

static void
answer(uint64_t unique, int error, const void *body, size_t len)
{
	struct fuse_out_header head = {
	    .len = (uint32_t)(sizeof(head) + len), .error = -error, .unique = unique};
	struct iovec parts[2] = {{&head, sizeof(head)}, {(void *)(uintptr_t)body, len}};

	/* ENOENT: the request was interrupted meanwhile. */
	if (writev(device, parts, len ? 2 : 1) < 0 && errno != ENOENT && errno != ENODEV)
		perror("slow_disk: answering");
}

static void *
flusher(void *unused)
{
	for (;;) {
		uint64_t unique;

		pthread_mutex_lock(&lock);
		while (count == 0)
			pthread_cond_wait(&wake, &lock);
		unique = waiting[first];
		first = (first + 1) % FLUSHES_MAX;
		count--;
		pthread_mutex_unlock(&lock);
		nanosleep(&flush_time, NULL);
		flushes++;
		answer(unique, 0, NULL, 0);
	}
	return unused;
}

static void
put_flush(uint64_t unique)
{
	pthread_mutex_lock(&lock);
	waiting[(first + count++) % FLUSHES_MAX] = unique;
	pthread_cond_signal(&wake);
	pthread_mutex_unlock(&lock);
}

static struct fuse_attr
attributes(uint64_t node)
{
	return (struct fuse_attr){.ino = node,
	    .size = node == IMAGE ? size : 0,
	    .blocks = node == IMAGE ? size / 512 : 0,
	    .mode = node == IMAGE ? S_IFREG | 0600 : S_IFDIR | 0700,
	    .nlink = 1,
	    .blksize = 4096};
}

static void
init(const struct fuse_in_header *head, const struct fuse_init_in *in)
{
	struct fuse_init_out out = {.major = FUSE_KERNEL_VERSION,
	    .minor = FUSE_KERNEL_MINOR_VERSION,
	    .max_readahead = in->max_readahead,
	    .flags = FUSE_BIG_WRITES | FUSE_MAX_PAGES | FUSE_ASYNC_READ,
	    .max_background = 64,
	    .congestion_threshold = 48,
	    .max_write = WRITE_MAX,
	    .max_pages = WRITE_MAX / 4096};

	answer(head->unique, 0, &out, sizeof(out));
}

static void
lookup(const struct fuse_in_header *head, const char *name)
{
	struct fuse_entry_out out = {
	    .nodeid = IMAGE, .entry_valid = 3600, .attr_valid = 3600, .attr = attributes(IMAGE)};

	if (strcmp(name, "image") != 0)
		answer(head->unique, ENOENT, NULL, 0);
	else
		answer(head->unique, 0, &out, sizeof(out));
}

static void
read_image(const struct fuse_in_header *head, const struct fuse_read_in *in)
{
	uint64_t len = in->offset >= size ? 0 : in->size > size - in->offset ? size - in->offset : in->size;

	answer(head->unique, 0, image + in->offset, len);
}

static void
write_image(const struct fuse_in_header *head, const struct fuse_write_in *in)
{
	struct fuse_write_out out = {.size = in->size};

	if (in->offset > size || in->size > size - in->offset) {
		answer(head->unique, ENOSPC, NULL, 0);
		return;
	}
	memcpy(image + in->offset, in + 1, in->size);
	answer(head->unique, 0, &out, sizeof(out));
}

static void
serve(const struct fuse_in_header *head)
{
	const void *body = head + 1;
	struct fuse_attr_out attr = {.attr_valid = 3600, .attr = attributes(head->nodeid)};
	struct fuse_open_out open = {.open_flags = FOPEN_KEEP_CACHE};
	struct fuse_statfs_out statfs = {.st = {.bsize = 4096, .namelen = 255}};

	switch (head->opcode) {
	case FUSE_INIT:
		init(head, body);
		break;
	case FUSE_LOOKUP:
		lookup(head, body);
		break;
	case FUSE_GETATTR:
	case FUSE_SETATTR:
		answer(head->unique, 0, &attr, sizeof(attr));
		break;
	case FUSE_OPEN:
	case FUSE_OPENDIR:
		answer(head->unique, 0, &open, sizeof(open));
		break;
	case FUSE_READ:
		read_image(head, body);
		break;
	case FUSE_WRITE:
		write_image(head, body);
		break;
	case FUSE_FSYNC:
		put_flush(head->unique);
		break;
	case FUSE_STATFS:
		answer(head->unique, 0, &statfs, sizeof(statfs));
		break;
	case FUSE_RELEASE:
	case FUSE_RELEASEDIR:
	case FUSE_FLUSH:
	case FUSE_READDIR:
		answer(head->unique, 0, NULL, 0);
		break;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		break;
	default:
		answer(head->unique, ENOSYS, NULL, 0);
	}
}

static void
on_signal(int number)
{
	char text[32];
	int len = snprintf(text, sizeof(text), "%d\n", (int)flushes);

	(void)number;
	(void)!write(STDOUT_FILENO, text, (size_t)len);
}

int
main(int argc, char **argv)
{
	char options[100], *request = malloc(REQUEST_MAX);
	struct sigaction report = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	pthread_t thread;
	double ms;

	if (argc != 4) {
		fprintf(stderr, "usage: slow_disk DIRECTORY MEGABYTES FLUSH_MS\n");
		return 64;
	}
	size = strtoull(argv[2], NULL, 10) << 20;
	ms = strtod(argv[3], NULL);
	flush_time.tv_sec = (time_t)(ms / 1000);
	flush_time.tv_nsec = (long)((ms - (double)flush_time.tv_sec * 1000) * 1e6);
	image = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (image == MAP_FAILED || device < 0) {
		perror("slow_disk");
		return 1;
	}
	(void)snprintf(options, sizeof(options), "fd=%d,rootmode=40700,user_id=0,group_id=0", device);
	if (mount("slow_disk", argv[1], "fuse", MS_NOSUID | MS_NODEV, options) < 0) {
		perror("slow_disk: mount");
		return 1;
	}
	sigaction(SIGUSR1, &report, NULL);
	pthread_create(&thread, NULL, flusher, NULL);
	for (;;) {
		ssize_t n = read(device, request, REQUEST_MAX);

		if (n >= (ssize_t)sizeof(struct fuse_in_header))
			serve((const struct fuse_in_header *)request);
		else if (n < 0 && errno != EINTR && errno != EAGAIN && errno != ENOENT)
			return errno == ENODEV ? 0 : 1;
	}
}
