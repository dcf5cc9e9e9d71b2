/*
 * trial: "sendmail -bh ADDRESS": a session with the SMTP server as if from that address, on standard input and output.
 *
 * Runs as   whoever calls it; root becomes the user who reads tables.
 * Talks to  name servers, and what tables ask. Of the mail system itself nobody hears of it, running or not.
 * Reads     the configuration, tables, standard input, DNS answers.
 * If taken  there is nothing here that the caller has not.
 *
 * It is smtpd's own engine, with the others played by trial_peers.h: what they say, each restriction's verdict (">>> ")
 * and what the log would have of it ("LOG: ") stand between the replies.
 */
#include <errno.h>
#include <event2/event.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/conf/conf.h"
#include "common/mail/date.h"
#include "common/net/stream.h"
#include "smtpd/restriction.h"
#include "smtpd/session.h"
#include "smtpd/settings.h"
#include "tools/trial_peers.h"

enum { REPLIES_MAX = 1 << 20, CHUNK = 4096 };

struct trial {
	struct smtpd smtpd;
	struct trial_peers *peers;
	struct settings *settings;
	struct auth_settings *unused; /* its own: nobody knows passwords here */
	int fd; /* our end of the session's socket */
	struct event *readable;
	struct buf replies;
	char code[4]; /* of the last whole reply; "": none since we spoke */
	bool over; /* the session has closed */
};

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void
say(const char *format, ...)
{
	va_list args;

	fputs(">>> ", stdout);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

static void
print_log(enum log_level level, const char *ident, const char *text, size_t len, void *context)
{
	(void)level;
	(void)ident;
	(void)context;
	printf("LOG: %.*s\n", (int)len, text);
}

static void
explain(const struct check *c, int verdict)
{
	static const char *const lists[RESTRICT_COUNT] = {
	    [RESTRICT_CLIENT] = "smtpd_client_restrictions",
	    [RESTRICT_HELO] = "smtpd_helo_restrictions",
	    [RESTRICT_SENDER] = "smtpd_sender_restrictions",
	    [RESTRICT_RELAY] = "smtpd_relay_restrictions",
	    [RESTRICT_RECIPIENT] = "smtpd_recipient_restrictions",
	    [RESTRICT_DATA] = "smtpd_data_restrictions",
	    [RESTRICT_END_OF_DATA] = "smtpd_end_of_data_restrictions",
	    [RESTRICT_ETRN] = "smtpd_etrn_restrictions",
	    [RESTRICT_LOCAL_CLIENT] = "local_header_rewrite_clients",
	};
	const struct restriction_word *word = c->word;

	say("%s: %s%s%s: %s", lists[check_stage(c)], word->name ? word->name : word->rule->name,
	    word->argument ? " " : "", word->argument ? word->argument : "",
	    verdict == VERDICT_REJECT   ? c->text
	    : verdict == VERDICT_PERMIT ? "permit"
					: "goes on");
}

/* ---- the client ---- */

static void
take_lines(struct trial *t)
{
	struct span rest = buf_span(&t->replies);
	ptrdiff_t end;

	while ((end = span_find(rest, '\n')) >= 0) {
		struct span line = span_trim(span_sub(rest, 0, (size_t)end));

		printf("%.*s\n", SPAN_ARG(line));
		if (line.len == 3 || (line.len > 3 && line.ptr[3] == ' '))
			(void)span_copy(span_sub(line, 0, 3), t->code, sizeof(t->code));
		rest = span_from(rest, (size_t)end + 1);
	}
	buf_consume(&t->replies, t->replies.len - rest.len);
}

static void
on_readable(evutil_socket_t fd, short what, void *context)
{
	struct trial *t = context;
	char *room = buf_reserve(&t->replies, CHUNK);
	ssize_t n = room ? read(fd, room, CHUNK) : 0;

	(void)what;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		t->over = true;
		event_del(t->readable);
		return;
	}
	buf_added(&t->replies, (size_t)n);
	take_lines(t);
}

static void
turn(struct trial *t)
{
	smtpd_reap(&t->smtpd);
	ipc_flush_all();
	stream_flush_all();
	if (event_base_loop(t->smtpd.base, EVLOOP_ONCE) != 0)
		t->over = true;
}

static void
await_reply(struct trial *t)
{
	while (!t->over && t->code[0] == '\0')
		turn(t);
	fflush(stdout);
}

static void
put(struct trial *t, const char *bytes, size_t len)
{
	while (len > 0 && !t->over) {
		ssize_t n = send(t->fd, bytes, len, MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN && errno != EINTR)
			t->over = true;
		if (n > 0) {
			bytes += n;
			len -= (size_t)n;
		} else if (!t->over)
			turn(t);
	}
}

/* The octets that BDAT announces, as they are. */
static void
put_chunk(struct trial *t, struct span command)
{
	struct span word;
	uint64_t left;
	int c;

	if (!span_next_word(&command, " ", &word) || !span_is_nocase(word, "BDAT") ||
	    !span_next_word(&command, " ", &word) || number_parse(word, 0, INT64_MAX, &left) < 0)
		return;
	for (; left > 0 && (c = getchar()) != EOF; left--) {
		char octet = (char)c;

		put(t, &octet, 1);
	}
}

/* One line at a time, as the server must have answered the one before; what a program writes ends in LF or CRLF. */
static void
converse(struct trial *t)
{
	char *line = NULL;
	size_t size = 0;
	bool content = false;
	ssize_t len;

	await_reply(t);
	while (!t->over && (len = getline(&line, &size, stdin)) > 0) {
		struct span text = span_make(line, (size_t)len);

		while (text.len > 0 && strchr("\r\n", text.ptr[text.len - 1]))
			text.len--;
		put(t, text.ptr, text.len);
		put(t, "\r\n", 2);
		if (content && !span_is(text, "."))
			continue;
		t->code[0] = '\0';
		if (!content)
			put_chunk(t, text);
		await_reply(t);
		content = strcmp(t->code, "354") == 0;
	}
	free(line);
}

/* ---- set-up ---- */

/* As the process that reads tables. */
static int
drop_rights(struct error *err)
{
	const struct passwd *pw = geteuid() == 0 ? getpwnam("postern-lookup") : NULL;

	if (pw == NULL)
		return 0;
	if (setgroups(1, &pw->pw_gid) < 0 || setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) < 0 ||
	    setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) < 0)
		return error_errno(err, "becoming %s", pw->pw_name);
	return 0;
}

static int
begin(struct trial *t, const struct conf *conf, const struct conf_section *section,
    const struct net_address *peer, struct error *err)
{
	int pair[2];

	t->smtpd.explain = explain;
	t->settings = settings_new(conf, section, err);
	if (t->settings == NULL)
		return -1;
	t->unused = t->settings->auth;
	t->settings->auth = NULL;
	t->peers = trial_peers_new(&t->smtpd, conf, say, err);
	if (t->peers == NULL)
		return -1;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
		return error_errno(err, "socketpair");
	t->fd = pair[1];
	t->readable = event_new(t->smtpd.base, t->fd, EV_READ | EV_PERSIST, on_readable, t);
	event_add(t->readable, NULL);
	(void)session_new(&t->smtpd, t->settings, pair[0], peer);
	return 0;
}

static int
run(const struct conf *conf, const struct conf_section *section, const struct net_address *peer,
    const char *address, struct error *err)
{
	static struct trial t;

	buf_init(&t.replies, REPLIES_MAX);
	smtpd_init(&t.smtpd, event_base_new(), 0);
	mail_date_init();
	say("a session as if from %s with section [%s]: nothing is delivered or counted; there is no TLS and "
	    "no "
	    "AUTH",
	    address, section->name);
	if (drop_rights(err) < 0 || begin(&t, conf, section, peer, err) < 0)
		return EX_OSERR;
	converse(&t);
	smtpd_fini(&t.smtpd);
	return ferror(stdout) ? EX_IOERR : 0;
}

static int
fail(int status, const char *text)
{
	fprintf(stderr, "sendmail: -bh: %s\n", text);
	return status;
}

/* trial CONFDIR ADDRESS [SECTION] */
int
main(int argc, char **argv)
{
	const struct conf_section *section;
	struct net_address peer;
	struct error err;
	struct conf_report *report = conf_report_new();
	struct conf *conf;

	signal(SIGPIPE, SIG_IGN);
	if (argc < 3 || argc > 4 || net_address_parse(span_of(argv[2]), &peer) < 0)
		return fail(EX_USAGE, "an address is meant, and perhaps a section of the configuration");
	conf = conf_load(argv[1], report, &err);
	if (conf == NULL)
		return fail(EX_CONFIG, err.text);
	section = argc == 4 ? conf_section_find(conf, span_of(argv[3])) : &conf->sections[0];
	if (section == NULL)
		return fail(EX_USAGE, "there is no such section");
	if (section->values->smtpd_tls_wrappermode)
		return fail(EX_UNAVAILABLE,
		    "that section begins with TLS (smtpd_tls_wrappermode), which is not played");
	log_set_sink(print_log, NULL);
	int status = run(conf, section, &peer, argv[2], &err);
	fflush(stdout);
	return status == EX_OSERR ? fail(status, err.text) : status;
}
