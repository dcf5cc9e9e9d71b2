#include "common/map/client_meter.h"

#include <sys/socket.h>

#include "common/base/clock.h"

static _Thread_local struct {
	bool running, refused;
	size_t left;
	int64_t deadline_us;
} meter;

void
client_meter_begin(size_t octets, int64_t deadline_us)
{
	meter.running = true;
	meter.refused = false;
	meter.left = octets;
	meter.deadline_us = deadline_us;
}

void
client_meter_end(void)
{
	meter.running = false;
}

bool
client_meter_refused(void)
{
	return meter.refused;
}

/* recv() itself; its own name would meet the inline form that the C library's header has for checks of sizes. */
ssize_t metered_recv(int fd, void *bytes, size_t len, int flags) __asm__("recv")
    __attribute__((visibility("default"), used));

ssize_t
metered_recv(int fd, void *bytes, size_t len, int flags)
{
	bool counts = meter.running && !(flags & MSG_PEEK);

	if (counts && clock_mono_us() >= meter.deadline_us)
		return 0;
	if (counts && len > 0 && meter.left == 0) {
		meter.refused = true;
		return 0;
	}
	if (counts && len > meter.left)
		len = meter.left;
	ssize_t n = recvfrom(fd, bytes, len, flags, NULL, NULL);
	if (counts && n > 0)
		meter.left -= (size_t)n;
	return n;
}
