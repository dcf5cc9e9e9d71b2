/* Modes of sendmail(1) that are commands of postern(8): the arguments are translated and postern is executed. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "tools/sendmail.h"
#include "tools/sendmail_postern.h"

enum { ALIAS_FILES_MAX = 8 };

void
sendmail_command_init(struct sendmail_command *c, const struct sendmail *s, int argc)
{
	c->args = mem_alloc((size_t)(argc + SENDMAIL_COMMAND_WORDS) * sizeof(*c->args));
	c->count = 0;
	sendmail_command_add(c, "postern");
	sendmail_command_add(c, "-c");
	sendmail_command_add(c, s->confdir);
}

void
sendmail_command_add(struct sendmail_command *c, const char *arg)
{
	c->args[c->count++] = arg;
	c->args[c->count] = NULL;
}

int
sendmail_command_execute(struct sendmail_command *c, const struct sendmail *s)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/postern", s->conf->values->command_directory);
	fflush(NULL);
	/* execv() changes nothing of what it is given. */
	execv(path, (char *const *)(const void *)c->args);
	fprintf(stderr, "sendmail: %s: %s\n", path, strerror(errno));
	free((void *)(uintptr_t)c->args);
	return EX_UNAVAILABLE;
}

/* In a process of its own, for another follows. */
static int
run_and_wait(struct sendmail_command *c, const struct sendmail *s)
{
	int status = 0;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid < 0)
		return sendmail_fail(s, EX_OSERR, strerror(errno));
	if (pid == 0)
		_exit(sendmail_command_execute(c, s));
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return EX_OSERR;
	return WIFEXITED(status) ? WEXITSTATUS(status) : EX_SOFTWARE;
}

static void
add_arguments(const struct sendmail *s, struct sendmail_command *c, int argc, char **argv)
{
	for (int i = s->options.first_argument; i < argc; i++)
		sendmail_command_add(c, argv[i]);
}

static void
add_choice(const struct sendmail *s, struct sendmail_command *c)
{
	for (unsigned i = 0; i < s->options.queue.count; i++)
		sendmail_command_add(c, s->options.queue.args[i]);
}

/* newaliases: the tables of alias_database, or the one that -oA names. */
static void
add_alias_files(const struct sendmail *s, struct sendmail_command *c)
{
	static char texts[ALIAS_FILES_MAX][1024];
	struct span rest = span_of(s->conf->values->alias_database), word;
	size_t count = 0;

	sendmail_command_add(c, "alias");
	if (s->options.alias_file) {
		sendmail_command_add(c, s->options.alias_file);
		return;
	}
	while (count < ALIAS_FILES_MAX && conf_list_next(&rest, &word) && word.len < sizeof(texts[0])) {
		span_copy(word, texts[count], sizeof(texts[0]));
		sendmail_command_add(c, texts[count++]);
	}
}

/* -Mg takes ids; -Mmd, -Mar and -Mes an id and addresses: each is a command of its own. The first failure is told. */
static int
edit(const struct sendmail *s, int argc, char **argv)
{
	const struct sendmail_queue *q = &s->options.queue;
	const char *id = argv[s->options.first_argument];
	int first = s->options.first_argument + (q->change != NULL), status = 0;

	for (int i = first; i < argc; i++) {
		struct sendmail_command c;
		int one;

		sendmail_command_init(&c, s, 0);
		sendmail_command_add(&c, "queue");
		sendmail_command_add(&c, "edit");
		sendmail_command_add(&c, q->change ? id : argv[i]);
		sendmail_command_add(&c, q->change ? q->change : q->part);
		if (q->change)
			sendmail_command_add(&c, argv[i]);
		one = run_and_wait(&c, s);
		status = status ? status : one;
		free((void *)(uintptr_t)c.args);
	}
	return status;
}

/* -qL: what is damaged is set aside in a directory that the administrator may read; nothing tries it. */
static int
show_lost(const struct sendmail *s)
{
	char path[4096];
	struct dirent *entry;
	unsigned count = 0;
	DIR *directory;

	snprintf(path, sizeof(path), "%s/damaged", s->conf->values->queue_directory);
	directory = opendir(path);
	/* Made when there is something to be kept in it. */
	if (directory == NULL && errno != ENOENT) {
		fprintf(stderr, "sendmail: %s: %s\n", path, strerror(errno));
		return errno == EACCES ? EX_NOPERM : EX_UNAVAILABLE;
	}
	while (directory != NULL && (entry = readdir(directory)) != NULL)
		if (entry->d_name[0] != '.' && ++count > 0 && s->options.mode == SENDMAIL_LIST)
			printf("%s/%s\n", path, entry->d_name);
	if (directory != NULL)
		closedir(directory);
	if (s->options.mode == SENDMAIL_COUNT)
		printf("%u\n", count);
	else if (s->options.mode == SENDMAIL_LIST && count == 0)
		puts("Nothing is lost");
	return 0;
}

/* -q and -M. */
static void
add_queue_command(const struct sendmail *s, struct sendmail_command *c, int argc, char **argv)
{
	const struct sendmail_queue *q = &s->options.queue;

	if (strcmp(q->verb, "retry") == 0) {
		sendmail_command_add(c, "flush");
	} else {
		sendmail_command_add(c, "queue");
		sendmail_command_add(c, q->verb);
	}
	if (q->quarantine != NULL && q->quarantine[0] && strcmp(q->verb, "hold") == 0) {
		sendmail_command_add(c, "--hold-reason");
		sendmail_command_add(c, q->quarantine);
	}
	add_choice(s, c);
	add_arguments(s, c, argc, argv);
	if (q->part)
		sendmail_command_add(c, q->part);
}

static void
add_listing(const struct sendmail *s, struct sendmail_command *c, int argc, char **argv)
{
	sendmail_command_add(c, "queue");
	sendmail_command_add(c, "list");
	if (s->options.mode == SENDMAIL_COUNT)
		sendmail_command_add(c, "--count");
	if (s->options.mode == SENDMAIL_IDS)
		sendmail_command_add(c, "--ids");
	if (s->options.json)
		sendmail_command_add(c, "--json");
	add_choice(s, c);
	add_arguments(s, c, argc, argv); /* Exim's: these messages */
}

/* The state of hosts is what waits for them. */
static void
add_hosts(struct sendmail_command *c)
{
	sendmail_command_add(c, "queue");
	sendmail_command_add(c, "stats");
	sendmail_command_add(c, "--by");
	sendmail_command_add(c, "nexthop");
}

int
sendmail_postern(struct sendmail *s, int argc, char **argv)
{
	const struct sendmail_queue *q = &s->options.queue;
	struct sendmail_command c;

	if (q->lost && s->options.mode != SENDMAIL_DAEMON)
		return show_lost(s);
	if (s->options.mode == SENDMAIL_QUEUE && strcmp(q->verb, "edit") == 0)
		return edit(s, argc, argv);
	if (s->options.mode == SENDMAIL_ALIASES && s->options.first_argument < argc)
		return sendmail_fail(s, EX_USAGE, "alias initialization mode requires no recipient");
	if (s->options.mode == SENDMAIL_ALIASES && !s->options.alias_file &&
	    !s->conf->values->alias_database[0])
		return 0;
	sendmail_command_init(&c, s, argc);
	switch (s->options.mode) {
	case SENDMAIL_LIST:
	case SENDMAIL_IDS:
	case SENDMAIL_COUNT:
		add_listing(s, &c, argc, argv);
		break;
	case SENDMAIL_ALIASES:
		add_alias_files(s, &c);
		break;
	case SENDMAIL_DAEMON:
		sendmail_command_add(&c, s->options.foreground ? "start-fg" : "start");
		break;
	case SENDMAIL_HOSTS:
		add_hosts(&c);
		break;
	default:
		add_queue_command(s, &c, argc, argv);
		break;
	}
	return sendmail_command_execute(&c, s);
}

int
sendmail_trial(struct sendmail *s, int argc, char **argv)
{
	char path[4096];
	const char *section =
	    s->options.first_argument + 1 < argc ? argv[s->options.first_argument + 1] : NULL;

	snprintf(path, sizeof(path), "%s/trial", s->conf->values->daemon_directory);
	fflush(NULL);
	execl(path, "trial", s->confdir, argv[s->options.first_argument], section, (char *)NULL);
	return sendmail_fail(s, EX_UNAVAILABLE, strerror(errno));
}
