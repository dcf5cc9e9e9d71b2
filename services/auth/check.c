#include "config.h"

#include "services/auth/check.h"

#ifdef HAVE_PAM
#include <security/pam_appl.h>
#endif
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/io.h"

struct question {
	char room[CHECK_QUESTION_MAX];
	const char *service, *user, *password, *address;
};

static int
answer(char verdict, const char *text)
{
	char line[CHECK_ANSWER_MAX];
	int len = snprintf(line, sizeof(line), "%c%.*s\n", verdict, CHECK_USER_MAX, text);

	return len > 0 && io_write_all(STDOUT_FILENO, line, (size_t)len) == 0 ? EX_OK : EX_IOERR;
}

/* False if it has not exactly its parts. */
static int
read_question(struct question *q)
{
	const char **parts[CHECK_PARTS] = {&q->service, &q->user, &q->password, &q->address};
	ssize_t len = io_read_all(STDIN_FILENO, q->room, sizeof(q->room));
	char *at = q->room;

	for (size_t i = 0; i < CHECK_PARTS; i++) {
		size_t left = len < 0 ? 0 : (size_t)(q->room + len - at);
		char *end = left > 0 ? memchr(at, '\0', left) : NULL;

		if (end == NULL)
			return -1;
		*parts[i] = at;
		at = end + 1;
	}
	return at == q->room + len ? 0 : -1;
}

/* A module that loops or hangs ends with its process; one that forks leaves nothing behind that could be asked. */
static void
set_bounds(void)
{
	const struct rlimit none = {0, 0}, cpu = {CHECK_CPU_SECONDS_MAX, CHECK_CPU_SECONDS_MAX};

	(void)setrlimit(RLIMIT_CORE, &none);
	(void)setrlimit(RLIMIT_CPU, &cpu);
	(void)prctl(PR_SET_NAME, "auth", 0, 0, 0);
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	(void)signal(SIGPIPE, SIG_DFL);
	(void)signal(SIGALRM, SIG_DFL);
	(void)alarm(CHECK_SECONDS_MAX);
}

#ifdef HAVE_PAM

/* PAM frees the answers. What is asked for unseen is the password, what is asked for aloud the name; nothing else is known. */
static int
converse(int count, const struct pam_message **messages, struct pam_response **answers, void *context)
{
	const struct question *q = context;
	struct pam_response *list;

	if (count <= 0 || count > PAM_MAX_NUM_MSG)
		return PAM_CONV_ERR;
	list = calloc((size_t)count, sizeof(*list));
	if (list == NULL)
		return PAM_BUF_ERR;
	for (int i = 0; i < count; i++) {
		if (messages[i]->msg_style == PAM_PROMPT_ECHO_OFF)
			list[i].resp = strdup(q->password);
		else if (messages[i]->msg_style == PAM_PROMPT_ECHO_ON)
			list[i].resp = strdup(q->user);
	}
	*answers = list;
	return PAM_SUCCESS;
}

/* The pause after a failure is smtpd's: here it would keep others waiting. */
static void
no_delay(int result, unsigned microseconds, void *context)
{
	(void)result;
	(void)microseconds;
	(void)context;
}

/* What is no judgement of the user or the password. */
static int
is_trouble(int result)
{
	switch (result) {
	case PAM_OPEN_ERR:
	case PAM_SYMBOL_ERR:
	case PAM_SERVICE_ERR:
	case PAM_SYSTEM_ERR:
	case PAM_BUF_ERR:
	case PAM_AUTHINFO_UNAVAIL:
	case PAM_CONV_ERR:
	case PAM_ABORT:
	case PAM_MODULE_UNKNOWN:
	case PAM_BAD_ITEM:
	case PAM_IGNORE:
	case PAM_INCOMPLETE:
		return 1;
	default:
		return 0;
	}
}

static int
ask(pam_handle_t *h, const struct question *q)
{
	union {
		void (*function)(int, unsigned, void *);
		const void *item;
	} delay = {no_delay};
	int result;

	(void)pam_set_item(h, PAM_FAIL_DELAY, delay.item);
	(void)pam_set_item(h, PAM_RHOST, q->address);
	(void)pam_set_item(h, PAM_TTY, "smtp");
	result = pam_authenticate(h, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK);
	return result == PAM_SUCCESS ? pam_acct_mgmt(h, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK) : result;
}

static int
check(struct question *q)
{
	const struct pam_conv conversation = {converse, q};
	const void *name = NULL;
	pam_handle_t *h = NULL;
	char why[200];
	int result = pam_start(q->service, q->user, &conversation, &h);

	if (result != PAM_SUCCESS)
		return answer('?', "PAM cannot be started");
	result = ask(h, q);
	(void)snprintf(why, sizeof(why), "PAM service %.60s: %.100s", q->service, pam_strerror(h, result));
	if (result == PAM_SUCCESS && pam_get_item(h, PAM_USER, &name) != PAM_SUCCESS)
		name = NULL;
	/* Before the modules say good-bye: what they do then may take its time. */
	if (result == PAM_SUCCESS && name && strlen(name) > CHECK_USER_MAX)
		result = answer('?', "the name that PAM has for the user is too long");
	else if (result == PAM_SUCCESS)
		result = answer('Y', name ? name : q->user);
	else
		result = answer(is_trouble(result) ? '?' : 'N', why);
	explicit_bzero(q->room, sizeof(q->room));
	(void)close(STDOUT_FILENO);
	(void)pam_end(h, PAM_SUCCESS);
	return result;
}

#else

static int
check(struct question *q)
{
	explicit_bzero(q->room, sizeof(q->room));
	return answer('?', "PAM is not built in");
}

#endif

int
check_main(void)
{
	struct question q;

	set_bounds();
	if (read_question(&q) < 0)
		return answer('?', "malformed question");
	return check(&q);
}
