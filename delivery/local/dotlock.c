#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/io.h"
#include "delivery/local/mailbox.h"

enum { LOCK_NAME_SIZE = 4200 };

static void
lock_name(const char *path, char name[LOCK_NAME_SIZE])
{
	snprintf(name, LOCK_NAME_SIZE, "%s.lock", path);
}

static bool
is_stale(const char *name, int64_t stale_us)
{
	struct stat st;

	return stale_us > 0 && lstat(name, &st) == 0 &&
	       clock_wall_us() - (int64_t)st.st_mtime * US_PER_SECOND > stale_us;
}

int
dotlock_take(const char *path, const struct mailbox_settings *settings)
{
	char name[LOCK_NAME_SIZE];

	lock_name(path, name);
	for (unsigned attempt = 1;; attempt++) {
		int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

		if (fd >= 0) {
			io_close(&fd);
			return 0;
		}
		if (errno != EEXIST)
			return -1;
		if (is_stale(name, settings->lock_stale_us) && unlink(name) == 0)
			continue;
		if (attempt >= settings->lock_attempts) {
			errno = EEXIST;
			return -1;
		}
		usleep((useconds_t)settings->lock_delay_us);
	}
}

void
dotlock_release(const char *path)
{
	char name[LOCK_NAME_SIZE];

	lock_name(path, name);
	unlink(name);
}
