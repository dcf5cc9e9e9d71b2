/* -q, -Q and -M of sendmail(1), with Exim's verbs: they become commands of postern(8) about the queue. */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "tools/sendmail_options.h"

/* Longer than any of Exim's verbs, and no longer than a queue id. */
enum { ID_LENGTH_MIN = 5 };

static int
add(struct sendmail_options *o, const char *arg)
{
	if (o->queue.count == SENDMAIL_QUEUE_ARGS)
		return sendmail_wrong("too many options of the queue");
	o->queue.args[o->queue.count++] = arg;
	return 0;
}

/* Whoever lists the queue or starts the daemon says so by another option, in front of this one or behind it. */
static void
mean_queue(struct sendmail_options *o)
{
	if (o->mode == SENDMAIL_DELIVER || o->mode == SENDMAIL_QUEUE)
		o->mode = SENDMAIL_QUEUE;
}

/* sendmail and Exim look for these anywhere in an address; nothing is in the empty one. */
static bool
is_part(const char *value)
{
	return strcmp(value, "<>") != 0;
}

/*
 * What -q chooses messages by. A group of sendmail's is what a mailer's messages go to: a transport here, or "mqueue", which is
 * everything. -qQ means what is on hold (sendmail's quarantine), -qL what was lost: here, what is damaged and set aside.
 */
static int
choose(struct sendmail_options *o, char letter, bool negated, const char *value)
{
	static const struct {
		char letter;
		bool wants_value;
		const char *option, *negated, *part, *negated_part;
	} choices[] = {
	    {'I', true, NULL, "--not-id", NULL, NULL},
	    {'R', true, "--to", "--not-to", "--to-part", "--not-to-part"},
	    {'S', true, "--from", "--not-from", "--from-part", "--not-from-part"},
	    {'G', true, "--nexthop", "--not-nexthop", NULL, NULL},
	    {'Q', false, "--reason", "--not-reason", NULL, NULL},
	};
	size_t i = 0, end = sizeof(choices) / sizeof(choices[0]);
	const char *option;

	while (i < end && choices[i].letter != letter)
		i++;
	if (letter == 'L' && !negated && !value[0]) {
		o->queue.lost = true;
		return 0;
	}
	if (i == end)
		return sendmail_wrong("unsupported option -q%s%c%s", negated ? "!" : "", letter, value);
	if (choices[i].wants_value && !value[0])
		return sendmail_wrong("-q%s%c wants a value", negated ? "!" : "", letter);
	if (letter == 'G' && !negated && strcmp(value, "mqueue") == 0)
		return 0;
	o->queue.chosen = true;
	if (letter == 'Q' && (add(o, "--state") != 0 || add(o, "hold") != 0))
		return EX_USAGE;
	if (choices[i].part != NULL && is_part(value))
		option = negated ? choices[i].negated_part : choices[i].part;
	else
		option = negated ? choices[i].negated : choices[i].option;
	if (value[0] && option != NULL && add(o, option) != 0)
		return EX_USAGE;
	return value[0] ? add(o, value) : 0;
}

int
sendmail_queue_run(struct sendmail_options *o, const char *value)
{
	bool negated;

	mean_queue(o);
	/* -qf, -qp of sendmail, -qq, -qff, -qi and -ql of Exim: how, of which there is one way here. */
	if (value == NULL || strchr("fpiql0123456789", value[0]) != NULL) {
		if (value != NULL && strpbrk(value, "0123456789") != NULL)
			fputs("sendmail: the interval of -q is left to queue_run_delay\n", stderr);
		return 0;
	}
	negated = value[0] == '!';
	value += negated;
	if (value[0] == '\0')
		return sendmail_wrong("-q! wants what is not meant");
	return choose(o, value[0], negated, value + 1);
}

int
sendmail_queue_site(struct sendmail_options *o, const char *value)
{
	mean_queue(o);
	return choose(o, 'R', false, value);
}

int
sendmail_queue_message(struct sendmail_options *o, const char *value)
{
	static const struct {
		const char *value, *verb, *part, *change;
	} verbs[] = {
	    {"", "retry", NULL, NULL},
	    {"c", "retry", NULL, NULL},
	    {"rm", "delete", NULL, NULL},
	    {"mad", "delete", NULL, NULL}, /* all of it counts as delivered: nobody is told */
	    {"f", "hold", NULL, NULL},
	    {"t", "release", NULL, NULL},
	    {"g", "edit", "--bounce", NULL},
	    {"md", "edit", NULL, "--drop"},
	    {"ar", "edit", NULL, "--add"},
	    {"es", "edit", NULL, "--sender"},
	    {"vc", "show", NULL, NULL},
	    {"vh", "show", "--headers", NULL},
	    {"vb", "show", "--body", NULL},
	    {"vl", "explain", NULL, NULL},
	};

	mean_queue(o);
	o->queue.verb = "retry";
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (strcmp(verbs[i].value, value) != 0)
			continue;
		o->queue.verb = verbs[i].verb;
		o->queue.part = verbs[i].part;
		o->queue.change = verbs[i].change;
		return 0;
	}
	if (strlen(value) < ID_LENGTH_MIN)
		return sendmail_wrong("unsupported option -M%s", value);
	o->queue.chosen = true;
	return add(o, value);
}

int
sendmail_queue_settle(struct sendmail_options *o, int argc)
{
	struct sendmail_queue *q = &o->queue;

	if (o->mode != SENDMAIL_QUEUE)
		return 0;
	/* -Qreason -q...: quarantine what matches; -Q -q...: no longer. */
	if (q->quarantine != NULL && (q->verb == NULL || strcmp(q->verb, "retry") == 0)) {
		if (!q->chosen && o->first_argument == argc)
			return sendmail_wrong("-Q wants -qI, -qR, -qS or -qQ: which messages");
		q->verb = q->quarantine[0] ? "hold" : "release";
	}
	if (q->verb != NULL && strcmp(q->verb, "retry") != 0 && !q->chosen && o->first_argument == argc)
		return sendmail_wrong("-M wants queue ids");
	if (q->change != NULL && argc - o->first_argument < 2)
		return sendmail_wrong("-M wants a queue id, and addresses behind it");
	/* What is on hold is tried by being released. */
	if (q->verb == NULL)
		q->verb = q->count > 0 && strcmp(q->args[0], "--state") == 0 ? "release" : "retry";
	return 0;
}
