#include "tools/queue_watch.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "tools/terminal.h"

enum { HEAD_LINES = 4 /* time, heads, total, keys */, ROWS_DEFAULT = 24, COLUMNS_DEFAULT = 80 };

static const char screen_clear[] = "\033[H\033[J";

unsigned
queue_watch_columns(void)
{
	struct winsize size;

	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 ? 0 : size.ws_col;
}

static int
draw_screen(const struct queue_watch *w)
{
	struct winsize size = {.ws_row = 0};
	time_t now = time(NULL);
	char date[64] = "";
	struct tm tm;
	int status;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_row == 0 || size.ws_col == 0)
		size = (struct winsize){.ws_row = ROWS_DEFAULT, .ws_col = COLUMNS_DEFAULT};
	if (localtime_r(&now, &tm))
		strftime(date, sizeof(date), "%H:%M:%S", &tm);
	fputs(screen_clear, stdout);
	printf("%s  %.*s\n", date, size.ws_col > 12 ? size.ws_col - 12 : 0, w->keys);
	status = w->draw(
	    w->context, size.ws_row > HEAD_LINES ? size.ws_row - (unsigned)HEAD_LINES : 1, size.ws_col);
	fflush(stdout);
	return status;
}

/* Until the next drawing. False: it is over. */
static bool
wait_key(const struct queue_watch *w, bool screen)
{
	struct pollfd in = {.fd = screen && terminal_has_keys() ? STDIN_FILENO : -1, .events = POLLIN};
	char key;
	int n = poll(&in, 1, (int)w->interval_ms);

	if (n < 0 && errno != EINTR)
		return false;
	if (n <= 0)
		return true;
	if (read(STDIN_FILENO, &key, 1) != 1 || key == 'q' || key == 'Q')
		return false;
	if (w->key)
		w->key(w->context, key);
	return true;
}

int
queue_watch(const struct queue_watch *w)
{
	bool screen = terminal_begin();
	int status;

	do {
		if (screen) {
			status = draw_screen(w);
		} else {
			status = w->draw(w->context, 0, 0);
			putchar('\n');
			fflush(stdout);
		}
	} while (status == 0 && !ferror(stdout) && wait_key(w, screen));
	if (screen)
		terminal_end();
	return status;
}
