/* Modes of sendmail(1) that are commands of postern(8): the arguments are translated and postern is executed. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "tools/sendmail.h"

enum { ARGS_MADE_MAX = 24, ALIAS_FILES_MAX = 8 };

struct command {
	const char **args; /* room for those of the command line and ARGS_MADE_MAX; NULL ends them */
	int count;
	char texts[ALIAS_FILES_MAX][1024]; /* of arguments that were made here */
	int text_count;
};

static void
add(struct command *c, const char *arg)
{
	c->args[c->count++] = arg;
}

static int
execute(struct sendmail *s, struct command *c)
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

static void
add_arguments(struct sendmail *s, struct command *c, int argc, char **argv)
{
	for (int i = s->options.first_argument; i < argc; i++)
		add(c, argv[i]);
}

/* newaliases: the tables of alias_database, or the one that -oA names. */
static void
add_alias_files(struct sendmail *s, struct command *c)
{
	struct span rest = span_of(s->conf->values->alias_database), word;

	add(c, "alias");
	if (s->options.alias_file) {
		add(c, s->options.alias_file);
		return;
	}
	while (conf_list_next(&rest, &word) && word.len < sizeof(c->texts[0]) &&
	       c->text_count < ALIAS_FILES_MAX) {
		char *text = c->texts[c->text_count++];
		span_copy(word, text, sizeof(c->texts[0]));
		add(c, text);
	}
}

/* -q and -M. */
static void
add_queue_command(struct sendmail *s, struct command *c, int argc, char **argv)
{
	const struct sendmail_options *o = &s->options;

	if (strcmp(o->queue_verb, "retry") == 0) {
		add(c, "flush");
	} else {
		add(c, "queue");
		add(c, o->queue_verb[0] == '-' ? "show" : o->queue_verb);
	}
	if (o->quarantine != NULL && o->quarantine[0] && strcmp(o->queue_verb, "hold") == 0) {
		add(c, "--hold-reason");
		add(c, o->quarantine);
	}
	if (o->queue_filter != NULL)
		add(c, o->queue_filter);
	if (o->queue_value != NULL)
		add(c, o->queue_value);
	add_arguments(s, c, argc, argv);
	if (o->queue_verb[0] == '-')
		add(c, o->queue_verb);
}

int
sendmail_postern(struct sendmail *s, int argc, char **argv)
{
	struct command c = {.args = mem_alloc((size_t)(argc + ARGS_MADE_MAX) * sizeof(*c.args))};

	add(&c, "postern");
	add(&c, "-c");
	add(&c, s->confdir);
	switch (s->options.mode) {
	case SENDMAIL_LIST:
		add(&c, "queue");
		add(&c, "list");
		if (s->options.json)
			add(&c, "--json");
		break;
	case SENDMAIL_COUNT:
		add(&c, "queue");
		add(&c, "list");
		add(&c, "--count");
		break;
	case SENDMAIL_ALIASES:
		add_alias_files(s, &c);
		break;
	case SENDMAIL_DAEMON:
		add(&c, s->options.foreground ? "start-fg" : "start");
		break;
	default:
		add_queue_command(s, &c, argc, argv);
		break;
	}
	return execute(s, &c);
}
