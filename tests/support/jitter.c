/*
 * jitter: preloaded into the programs of a test, it makes rare orders of events frequent. Sockets take and give less than was asked
 * for, or nothing for now; an event loop is late, sees its events in another order, or only some of them; threads pause around locks.
 * All of it may happen to any program on a busy machine.
 *
 * The file POSTERN_JITTER says how much (struct jitter below), and may be changed at any moment.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* Chances are of 1000. */
struct jitter {
	uint32_t seed;
	uint32_t again; /* a socket that does not block: EAGAIN */
	uint32_t partly; /* a stream socket: some of the octets */
	uint32_t some; /* epoll_wait(): only some of the events */
	uint32_t order; /* epoll_wait(): in another order */
	uint32_t late; /* epoll_wait(), accept() and connect() pause before */
	uint32_t lock; /* a pause around locks, and before a thread is woken or sees that it was */
	uint32_t write; /* a pause before and after something is written to a socket or an eventfd */
	uint32_t pause_us; /* the longest of these */
	uint32_t stall; /* of a million of them: one of stall_us */
	uint32_t stall_us;
	uint32_t counts[5]; /* of what was done: EAGAIN, partly, some, order, pauses */
};

enum { LAST_WORDS = 200, WAKE_UP = 8 /* octets of an eventfd */ };
enum { COUNT_AGAIN, COUNT_PARTLY, COUNT_SOME, COUNT_ORDER, COUNT_PAUSES };

static struct jitter *jitter;
static __thread uint64_t state;

static ssize_t (*real_read)(int, void *, size_t);
static ssize_t (*real_recv)(int, void *, size_t, int);
static ssize_t (*real_recvmsg)(int, struct msghdr *, int);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_send)(int, const void *, size_t, int);
static ssize_t (*real_sendmsg)(int, const struct msghdr *, int);
static int (*real_epoll_wait)(int, struct epoll_event *, int, int);
static int (*real_accept4)(int, struct sockaddr *, socklen_t *, int);
static int (*real_connect)(int, const struct sockaddr *, socklen_t);
static int (*real_mutex_lock)(pthread_mutex_t *);
static int (*real_mutex_unlock)(pthread_mutex_t *);
static int (*real_sem_post)(sem_t *);

static void
find_all(void)
{
	static const struct {
		void *at;
		const char *name;
	} all[] = {{&real_read, "read"}, {&real_recv, "recv"}, {&real_recvmsg, "recvmsg"},
	    {&real_write, "write"}, {&real_send, "send"}, {&real_sendmsg, "sendmsg"},
	    {&real_epoll_wait, "epoll_wait"}, {&real_accept4, "accept4"}, {&real_connect, "connect"},
	    {&real_mutex_lock, "pthread_mutex_lock"}, {&real_mutex_unlock, "pthread_mutex_unlock"},
	    {&real_sem_post, "sem_post"}};

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		*(void **)all[i].at = dlsym(RTLD_NEXT, all[i].name);
}

/* Constructors of other libraries may be first. */
#define FIND(name)                                                                                           \
	do {                                                                                                 \
		if (!real_##name)                                                                            \
			find_all();                                                                          \
	} while (0)

__attribute__((constructor)) static void
begin(void)
{
	const char *path = getenv("POSTERN_JITTER");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *memory =
	    fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(*jitter), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	find_all();
	if (memory != MAP_FAILED)
		jitter = memory;
	if (fd >= 0)
		close(fd);
}

/* ---- the dice ---- */

static uint32_t
dice(uint32_t sides)
{
	struct timespec now;

	if (state == 0) {
		clock_gettime(CLOCK_MONOTONIC, &now);
		state = jitter->seed * 0x9e3779b97f4a7c15u ^ (uint64_t)getpid() << 32 ^ (uint64_t)gettid() ^
			(uint64_t)now.tv_nsec << 16 ^ 1;
	}
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return sides ? (uint32_t)((state >> 20) % sides) : 0;
}

static bool
happens(uint32_t chance)
{
	return jitter && chance != 0 && dice(1000) < chance;
}

static void
count(unsigned what)
{
	__atomic_add_fetch(&jitter->counts[what], 1, __ATOMIC_RELAXED);
}

static void
pause_for(uint32_t chance)
{
	uint32_t us;
	int saved = errno;

	if (!happens(chance))
		return;
	us = dice(1000000) < jitter->stall ? jitter->stall_us : dice(jitter->pause_us + 1);
	if (us > 0) {
		nanosleep(&(struct timespec){us / 1000000, us % 1000000 * 1000L}, NULL);
		count(COUNT_PAUSES);
	}
	errno = saved;
}

/* ---- sockets ---- */

static int
option(int fd, int name)
{
	socklen_t len = sizeof(int);
	int value, saved = errno;

	if (getsockopt(fd, SOL_SOCKET, name, &value, &len) < 0)
		value = -1;
	errno = saved;
	return value;
}

static bool
is_stream(int fd)
{
	return jitter && (jitter->again || jitter->partly) && option(fd, SO_TYPE) == SOCK_STREAM;
}

/* There is always room for the few last words of a connection to another host: a reply, an alert. */
static bool
may_lack_room(int fd, size_t len)
{
	return is_stream(fd) && (len >= LAST_WORDS || option(fd, SO_DOMAIN) == AF_UNIX);
}

static bool
not_now(int fd, int flags)
{
	if (!happens(jitter->again) || !((flags & MSG_DONTWAIT) || (fcntl(fd, F_GETFL) & O_NONBLOCK)))
		return false;
	count(COUNT_AGAIN);
	errno = EAGAIN;
	return true;
}

static size_t
part_of(size_t len)
{
	if (len < 2 || !happens(jitter->partly))
		return len;
	count(COUNT_PARTLY);
	return dice(4) == 0 ? 1 : 1 + dice((uint32_t)(len < 4096 ? len : 4096) - 1);
}

/* The first len octets of a list of pieces. */
static size_t
cut(struct iovec *to, const struct iovec *from, size_t pieces)
{
	size_t all = 0, len, n = 0;

	for (size_t i = 0; i < pieces; i++)
		all += from[i].iov_len;
	len = part_of(all);
	for (; n < pieces && len > 0; n++) {
		to[n] = from[n];
		if (to[n].iov_len > len)
			to[n].iov_len = len;
		len -= to[n].iov_len;
	}
	return n;
}

ssize_t
read(int fd, void *bytes, size_t len)
{
	FIND(read);
	if (is_stream(fd)) {
		if (not_now(fd, 0))
			return -1;
		len = part_of(len);
	}
	if (jitter && len <= WAKE_UP)
		pause_for(jitter->lock);
	return real_read(fd, bytes, len);
}

ssize_t
recv(int fd, void *bytes, size_t len, int flags)
{
	FIND(recv);
	if (is_stream(fd)) {
		if (not_now(fd, flags))
			return -1;
		len = part_of(len);
	}
	return real_recv(fd, bytes, len, flags);
}

ssize_t
recvmsg(int fd, struct msghdr *message, int flags)
{
	struct iovec *all = message->msg_iov, some[64];
	size_t count_of = message->msg_iovlen;
	ssize_t n;

	FIND(recvmsg);
	if (!is_stream(fd) || count_of > 64)
		return real_recvmsg(fd, message, flags);
	if (not_now(fd, flags))
		return -1;
	message->msg_iovlen = cut(some, all, count_of);
	message->msg_iov = some;
	n = real_recvmsg(fd, message, flags);
	message->msg_iov = all;
	message->msg_iovlen = count_of;
	return n;
}

ssize_t
write(int fd, const void *bytes, size_t len)
{
	ssize_t n;

	FIND(write);
	if (may_lack_room(fd, len)) {
		if (not_now(fd, 0))
			return -1;
		len = part_of(len);
	}
	if (jitter && len <= WAKE_UP)
		pause_for(jitter->write);
	n = real_write(fd, bytes, len);
	if (jitter && len <= WAKE_UP)
		pause_for(jitter->write);
	return n;
}

ssize_t
send(int fd, const void *bytes, size_t len, int flags)
{
	ssize_t n;

	FIND(send);
	if (may_lack_room(fd, len)) {
		if (not_now(fd, flags))
			return -1;
		len = part_of(len);
	}
	if (jitter)
		pause_for(jitter->write);
	n = real_send(fd, bytes, len, flags);
	if (jitter)
		pause_for(jitter->write);
	return n;
}

ssize_t
sendmsg(int fd, const struct msghdr *message, int flags)
{
	struct msghdr part = *message;
	struct iovec some[64];
	ssize_t n;

	FIND(sendmsg);
	if (message->msg_iovlen <= 64 && is_stream(fd)) {
		if (not_now(fd, flags))
			return -1;
		part.msg_iovlen = cut(some, message->msg_iov, message->msg_iovlen);
		part.msg_iov = some;
	}
	if (jitter)
		pause_for(jitter->write);
	n = real_sendmsg(fd, &part, flags);
	if (jitter)
		pause_for(jitter->write);
	return n;
}

int
accept4(int fd, struct sockaddr *address, socklen_t *len, int flags)
{
	FIND(accept4);
	if (jitter)
		pause_for(jitter->late);
	return real_accept4(fd, address, len, flags);
}

int
connect(int fd, const struct sockaddr *address, socklen_t len)
{
	int result;

	FIND(connect);
	if (jitter)
		pause_for(jitter->late);
	result = real_connect(fd, address, len);
	if (jitter)
		pause_for(jitter->late);
	return result;
}

/* ---- the event loop ---- */

/* Level-triggered: what is left out is seen the next time. */
int
epoll_wait(int epoll, struct epoll_event *events, int most, int timeout)
{
	int n;

	FIND(epoll_wait);
	if (jitter)
		pause_for(jitter->late);
	n = real_epoll_wait(epoll, events, most, timeout);
	if (n < 2)
		return n;
	if (happens(jitter->order) || happens(jitter->some)) {
		for (int i = n; i > 1; i--) {
			int k = (int)dice((uint32_t)i);
			struct epoll_event swap = events[i - 1];

			events[i - 1] = events[k];
			events[k] = swap;
		}
		count(COUNT_ORDER);
	}
	if (happens(jitter->some)) {
		n = 1 + (int)dice((uint32_t)n - 1);
		count(COUNT_SOME);
	}
	return n;
}

/* ---- threads ---- */

int
pthread_mutex_lock(pthread_mutex_t *lock)
{
	FIND(mutex_lock);
	if (jitter)
		pause_for(jitter->lock);
	return real_mutex_lock(lock);
}

int
pthread_mutex_unlock(pthread_mutex_t *lock)
{
	int result;

	FIND(mutex_unlock);
	result = real_mutex_unlock(lock);
	if (jitter)
		pause_for(jitter->lock);
	return result;
}

int
sem_post(sem_t *semaphore)
{
	FIND(sem_post);
	if (jitter)
		pause_for(jitter->lock);
	return real_sem_post(semaphore);
}
