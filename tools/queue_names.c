#include "tools/queue_names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/text.h"
#include "common/mail/queue_id.h"
#include "tools/queue_ask.h"
#include "tools/queue_drops.h"

enum {
	ARGS_MAX = 60000,
	ARGS_ENOUGH = 30000 /* the queue takes 2,000 ids */,
	LINE_SIZE = 1000,
	WORDS_MAX = 5
};

/* Options of two of them may come in any order, the directory of the configuration among them. */
static void
take_confdir_option(struct tool *tool, char *value)
{
	tool->confdir = value;
}

/* ---- postqueue ---- */

/* A site, as in "postqueue -s [host]", is a domain of recipients; an address stays one. */
static int
flush_site(struct tool *tool, char *site)
{
	char verb[] = "flush", option[] = "--to", filter[300];
	char *words[] = {verb, option, filter, NULL};
	struct span name = span_of(site);

	if (name.len > 2 && name.ptr[0] == '[' && name.ptr[name.len - 1] == ']')
		name = span_sub(name, 1, name.len - 2);
	if (span_find(name, '@') >= 0)
		words[2] = site;
	else if (name.len == 0 ||
		 (size_t)snprintf(filter, sizeof(filter), "@%.*s", SPAN_ARG(name)) >= sizeof(filter))
		return tool_fail(tool, EX_USAGE, "-s: a site is a domain");
	return command_flush(3, words, tool);
}

/* Made of letters and digits, as ids are everywhere: one of a queue that was here before this one, or mistyped. */
static bool
looks_like_id(const char *text)
{
	size_t len = 0;

	while (ascii_is_alnum(text[len]))
		len++;
	return len > 0 && text[len] == '\0';
}

static bool
is_id(const char *text)
{
	uint64_t id;

	return queue_id_parse(span_of(text), &id) == 0;
}

static int
flush_id(struct tool *tool, char *id)
{
	char flush[] = "flush";
	char *words[] = {flush, id, NULL};

	if (!looks_like_id(id))
		return tool_fail(tool, EX_UNAVAILABLE, "Cannot flush queue ID - invalid name: \"%s\"", id);
	if (!is_id(id))
		return tool_fail(tool, 0, "warning: no such message in the queue: %s", id);
	return command_flush(2, words, tool);
}

int
command_postqueue(int argc, char **argv, struct tool *tool)
{
	char queue[] = "queue", list[] = "list", json[] = "--json", flush[] = "flush";
	char *words[WORDS_MAX] = {queue, list, NULL};
	char *value = NULL;
	int option, mode = 0;

	opterr = 0;
	while ((option = getopt(argc, argv, "c:fi:jps:v")) != -1) {
		if (option == '?' || (mode && strchr("fijps", option) != NULL)) {
			mode = 0;
			break;
		}
		if (option == 'c')
			take_confdir_option(tool, optarg);
		else if (option != 'v') {
			mode = option;
			value = optarg;
		}
	}
	if (mode == 0 || optind != argc)
		return tool_usage(tool, "postqueue");
	if (mode == 's')
		return flush_site(tool, value);
	if (mode == 'p' || mode == 'j') {
		words[2] = mode == 'j' ? json : NULL;
		return command_queue(mode == 'j' ? 3 : 2, words, tool);
	}
	if (mode == 'i')
		return flush_id(tool, value);
	words[0] = flush;
	words[1] = NULL;
	return command_flush(1, words, tool);
}

/* ---- postcat ---- */

static int
show_part(struct tool *tool, char *id, const char *part)
{
	char queue[] = "queue", show[] = "show", option[32];
	char *words[WORDS_MAX] = {queue, show, id, option, NULL};

	if (part == NULL)
		return command_queue(3, words, tool);
	snprintf(option, sizeof(option), "--%s", part);
	return command_queue(4, words, tool);
}

static int
show_parts(struct tool *tool, char *id, bool envelope, bool headers, bool body)
{
	int status = 0;

	if (!looks_like_id(id))
		return tool_fail(tool, EX_USAGE, "bad mail queue ID: %s", id);
	if (!is_id(id))
		return tool_fail(tool, EX_NOINPUT, "no such message in the queue: %s", id);
	if (envelope == headers && headers == body)
		return show_part(tool, id, NULL);
	if (envelope)
		status = show_part(tool, id, "envelope");
	if (headers && status == 0)
		status = show_part(tool, id, "headers");
	if (body && status == 0)
		status = show_part(tool, id, "body");
	return status;
}

int
command_postcat(int argc, char **argv, struct tool *tool)
{
	bool envelope = false, headers = false, body = false, by_id = false;
	int option, status = 0;

	opterr = 0;
	while ((option = getopt(argc, argv, "bc:dehnoqv")) != -1) {
		if (option == '?')
			return tool_usage(tool, "postcat");
		if (option == 'c')
			take_confdir_option(tool, optarg);
		envelope |= option == 'e';
		headers |= option == 'h';
		body |= option == 'b';
		by_id |= option == 'q';
	}
	if (!by_id)
		return tool_fail(tool, EX_USAGE, "a message is no file here: use -q and its queue id");
	if (optind == argc)
		return tool_usage(tool, "postcat");
	for (; optind < argc && status == 0; optind++)
		status = show_parts(tool, argv[optind], envelope, headers, body);
	return status;
}

/* ---- postsuper ---- */

struct act {
	char option;
	const char *verb, *done; /* of postern queue; what postsuper says */
};

/* What one message is done to at a time. */
static const char edit_verb[] = "edit";

static const struct act acts[] = {
    {'d', "delete", "Deleted"},
    {'e', edit_verb, "Force-expired"},
    {'f', edit_verb, "Force-expired"},
    {'h', "hold", "Placed on hold"},
    {'H', "release", "Released from hold"},
    {'r', "requeue", "Requeued"},
};

/* NULL: -p, -s and -S tidy up what needs no tidying here, -v talks. */
static const struct act *
find_act(int option)
{
	for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++)
		if (acts[i].option == option)
			return &acts[i];
	return NULL;
}

struct super {
	struct tool *tool;
	struct buf states; /* lines of a question: which queues; empty: all */
	bool nowhere; /* only queues that are always empty, or the drop directory */
	bool drops; /* that is named */
	struct buf args;
	uint64_t count;
};

/* Each is returned to its sender. One that cannot be now, since it is being delivered, spoils nothing for the others. */
static int
expire_each(struct super *s, struct span ids, uint64_t *count)
{
	struct buf args, rows;
	struct span id;
	int status = 0;

	buf_init(&args, LINE_SIZE);
	buf_init(&rows, LINE_SIZE);
	while (span_next_line(&ids, &id)) {
		int got;

		buf_clear(&args);
		buf_clear(&rows);
		buf_printf(&args, "id=%.*s\nbounce\n", SPAN_ARG(id));
		got = queue_ask(s->tool, edit_verb, buf_span(&args), &rows);
		*count += got == 0;
		if (got != 0 && got != EX_NOINPUT) /* gone meanwhile */
			status = got;
		if (got == EX_UNAVAILABLE || got == EX_NOPERM)
			break;
	}
	buf_free(&args);
	buf_free(&rows);
	return status;
}

/* Without with_held what is on hold stays as it is, as in postsuper(1). */
static int
expire(struct super *s, bool with_held, uint64_t *count)
{
	static const char *const waiting[] = {"state=active\n", "state=deferred\n"};
	struct span named = buf_span(&s->states);
	char *ids = NULL;
	size_t len = 0;
	bool any = with_held;
	FILE *to;
	int status;

	for (size_t i = 0; !with_held && i < 2; i++)
		if (named.len == 0 || memmem(named.ptr, named.len, waiting[i], strlen(waiting[i])) != NULL) {
			buf_append_text(&s->args, waiting[i]);
			any = true;
		}
	if (with_held)
		buf_append_span(&s->args, named);
	if (!any)
		return 0;
	to = open_memstream(&ids, &len);
	if (to == NULL)
		return tool_fail(s->tool, EX_OSERR, "no memory");
	status = queue_ids(s->tool, buf_span(&s->args), to);
	if (fclose(to) != 0 && status == 0)
		status = tool_fail(s->tool, EX_OSERR, "no memory");
	if (status == 0)
		status = expire_each(s, span_make(ids, len), count);
	free(ids);
	return status;
}

static int
send_args(struct super *s, const struct act *act)
{
	uint64_t count = 0;
	int status = 0;

	if (s->args.len > 0 && !s->nowhere && act->verb == edit_verb) {
		status = expire(s, act->option == 'f', &count);
	} else if (s->args.len > 0 && !s->nowhere) {
		buf_append_span(&s->args, buf_span(&s->states));
		status = queue_act(s->tool, act->verb, buf_span(&s->args), &count);
	}
	s->count += count;
	buf_clear(&s->args);
	return status;
}

/* All that can be done to what is in the drop directory is to delete it. */
static int
delete_drops(struct super *s, const struct act *act, const char *name)
{
	uint64_t count = 0;
	int status = s->drops && act->option == 'd' ? queue_drops_delete(s->tool, name, &count) : 0;

	s->count += count;
	return status;
}

/* One that cannot be an id spoils nothing for the others. */
static int
add_id(struct super *s, const struct act *act, struct span text)
{
	char name[LINE_SIZE];
	uint64_t id;

	if (s->drops && queue_id_parse(text, &id) < 0 && span_copy(text, name, sizeof(name)))
		return delete_drops(s, act, name);
	if (queue_id_parse(text, &id) < 0) {
		tool_fail(s->tool, 0, "warning: invalid mail queue id: %.*s", SPAN_ARG(text));
		return 0;
	}
	buf_printf(&s->args, "id=%.*s\n", SPAN_ARG(text));
	return s->args.len > ARGS_ENOUGH ? send_args(s, act) : 0;
}

/* An id a line, as "mailq | awk ..." gives them. */
static int
add_input(struct super *s, const struct act *act)
{
	char line[LINE_SIZE];
	int status = 0;

	while (status == 0 && fgets(line, sizeof(line), stdin) != NULL) {
		struct span rest = span_of(line), word;
		if (span_next_word(&rest, " \t\r\n", &word))
			status = add_id(s, act, word);
	}
	return status;
}

/* Queues of Postfix: what is new or under way, what waits, what is held, what was dropped; there is nothing in corrupt. */
static int
take_queues(struct super *s, char *const *queues)
{
	static const char *const states[][2] = {{"incoming", "state=active\n"}, {"active", "state=active\n"},
	    {"deferred", "state=deferred\n"}, {"hold", "state=hold\n"}, {"maildrop", ""}, {"corrupt", ""}};

	s->nowhere = *queues != NULL;
	for (; *queues != NULL; queues++) {
		size_t i = 0, end = sizeof(states) / sizeof(states[0]);
		while (i < end && strcmp(states[i][0], *queues) != 0)
			i++;
		if (i == end)
			return tool_fail(s->tool, EX_USAGE, "there is no queue %s", *queues);
		buf_append_text(&s->states, states[i][1]);
		s->drops = s->drops || strcmp(*queues, "maildrop") == 0;
		s->nowhere = s->states.len == 0;
	}
	return 0;
}

static int
run_act(struct super *s, const struct act *act, const char *which)
{
	int status = 0;

	s->count = 0;
	if (strcmp(which, "ALL") == 0) {
		buf_append_text(&s->args, "all=1\n");
		status = delete_drops(s, act, which);
	} else if (strcmp(which, "-") == 0)
		status = add_input(s, act);
	else
		status = add_id(s, act, span_of(which));
	if (status == 0)
		status = send_args(s, act);
	if (s->count > 0)
		tool_fail(s->tool, 0, "%s: %llu message%s", act->done, (unsigned long long)s->count,
		    s->count == 1 ? "" : "s");
	return status;
}

int
command_postsuper(int argc, char **argv, struct tool *tool)
{
	static const char letters[] = "c:d:e:f:h:H:psr:Sv";
	struct super s = {.tool = tool};
	int option, status;

	opterr = 0;
	/* First all of the command line, for what it does depends on its end. */
	while ((option = getopt(argc, argv, letters)) != -1) {
		if (option == '?')
			return tool_usage(tool, "postsuper");
		if (option == 'c')
			take_confdir_option(tool, optarg);
	}
	buf_init(&s.args, ARGS_MAX);
	buf_init(&s.states, ARGS_MAX - ARGS_ENOUGH);
	status = take_queues(&s, argv + optind);
	optind = 1;
	while (status == 0 && (option = getopt(argc, argv, letters)) != -1) {
		const struct act *act = find_act(option);
		if (act != NULL)
			status = run_act(&s, act, optarg);
	}
	buf_free(&s.args);
	buf_free(&s.states);
	return status;
}
