/*
 * What the end of a command means: its status by sysexits(3), or "D.S.N text" as it wrote it, in Postfix's words.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>

#include "common/base/text.h"
#include "common/mail/outcome.h"
#include "delivery/local/command.h"

enum { SHOWN = 700, COMMAND_SHOWN = 120 };

/* The first lines as one, printable. */
static void
one_line(struct span output, char text[SHOWN + 1])
{
	struct buf line;
	struct span part;

	buf_init(&line, SHOWN * 4);
	while (line.len < SHOWN && span_next_line(&output, &part)) {
		part = span_trim(part);
		if (line.len > 0 && part.len > 0)
			buf_append_text(&line, " ");
		text_append_printable(&line, part, SHOWN);
	}
	span_copy(span_sub(buf_span(&line), 0, SHOWN), text, SHOWN + 1);
	buf_free(&line);
}

/* Of a pipe transport the program alone: its arguments are the administrator's, and those of other recipients. */
static void
command_name(const struct command *c, char name[COMMAND_SHOWN + 1])
{
	size_t n = 0;

	for (size_t i = 0; i < c->argv.len && n < COMMAND_SHOWN; i++) {
		char byte = c->argv.ptr[i];

		if (byte == '\0' && (i + 1 == c->argv.len || c->service.len > 0))
			break;
		name[n++] = byte == '\0' ? ' ' : byte;
	}
	name[n] = '\0';
}

static void
succeeded(const struct command *c, const char *name, const char *output, struct mailbox_result *result)
{
	if (c->service.len == 0)
		mailbox_result_set(result, OUTCOME_DELIVERED, "2.0.0", "delivered to command: %s", name);
	else
		mailbox_result_set(result, OUTCOME_DELIVERED, "2.0.0", "delivered via %.*s service%s%s%s",
		    SPAN_ARG(c->service), output[0] ? " (" : "", output, output[0] ? ")" : "");
}

/* "4.2.2 mailbox is full": the command says itself what is the matter. */
static bool
speaks_for_itself(const char *output, struct mailbox_result *result)
{
	struct span rest = span_of(output), code;
	char text[12];

	if (!span_next_word(&rest, " \t", &code) || !enhanced_code_valid(code) || code.ptr[0] == '2' ||
	    !span_copy(code, text, sizeof(text)))
		return false;
	rest = span_trim(rest);
	mailbox_result_set(
	    result, text[0] == '4' ? OUTCOME_DEFERRED : OUTCOME_BOUNCED, text, "%.*s", SPAN_ARG(rest));
	return true;
}

void
command_judge(const struct command *command, int wait_status, bool timed_out, struct span output,
    struct mailbox_result *result)
{
	char shown[SHOWN + 1], name[COMMAND_SHOWN + 1], code[12];
	const char *between, *text;
	enum outcome_class class;
	int status;

	one_line(output, shown);
	command_name(command, name);
	between = shown[0] ? ". Command output: " : "";
	if (timed_out) {
		mailbox_result_set(result, OUTCOME_BOUNCED, "5.3.0",
		    "Command time limit exceeded: \"%s\"%s%s", name, between, shown);
		return;
	}
	if (WIFSIGNALED(wait_status)) {
		mailbox_result_set(result, OUTCOME_DEFERRED, "4.3.0",
		    "Command died with signal %d: \"%s\"%s%s", WTERMSIG(wait_status), name, between, shown);
		return;
	}
	status = WEXITSTATUS(wait_status);
	if (status == EX_OK) {
		succeeded(command, name, shown, result);
		return;
	}
	if (speaks_for_itself(shown, result))
		return;
	class = outcome_of_exit(status, code);
	text = outcome_exit_text(status);
	if (text)
		mailbox_result_set(result, class, code, "%s%s%s", text, between, shown);
	else
		mailbox_result_set(result, class, code, "Command died with status %d: \"%s\"%s%s", status,
		    name, between, shown);
}
