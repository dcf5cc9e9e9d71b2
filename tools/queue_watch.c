#include "tools/queue_watch.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { HEAD_LINES = 4 /* time, heads, total, keys */, ROWS_DEFAULT = 24, COLUMNS_DEFAULT = 80 };

/* xterm's and everybody's: the other screen, no cursor; and back. */
static const char screen_on[] = "\033[?1049h\033[?25l", screen_off[] = "\033[?25h\033[?1049l";
static const char screen_clear[] = "\033[H\033[J";

static volatile sig_atomic_t interrupted;

static void
on_signal(int number)
{
	(void)number;
	interrupted = 1;
}

struct terminal {
	bool screen, keys;
	struct termios before;
};

static void
terminal_begin(struct terminal *t)
{
	struct sigaction action = {.sa_handler = on_signal};
	struct termios raw;

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	t->screen = isatty(STDOUT_FILENO);
	t->keys = t->screen && isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &t->before) == 0;
	if (t->keys) {
		raw = t->before;
		raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
		t->keys = tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0;
	}
	if (t->screen)
		fputs(screen_on, stdout);
}

static void
terminal_end(const struct terminal *t)
{
	if (t->keys)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &t->before);
	if (t->screen)
		fputs(screen_off, stdout);
	fflush(stdout);
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
wait_key(const struct queue_watch *w, const struct terminal *t)
{
	struct pollfd in = {.fd = t->keys ? STDIN_FILENO : -1, .events = POLLIN};
	char key;
	int n = poll(&in, 1, (int)w->interval_ms);

	if (interrupted || (n < 0 && errno != EINTR))
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
	struct terminal t = {.screen = false};
	int status;

	terminal_begin(&t);
	do {
		if (t.screen) {
			status = draw_screen(w);
		} else {
			status = w->draw(w->context, 0, 0);
			putchar('\n');
			fflush(stdout);
		}
	} while (status == 0 && !ferror(stdout) && !interrupted && wait_key(w, &t));
	terminal_end(&t);
	return status;
}
