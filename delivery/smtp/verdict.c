#include "delivery/smtp/verdict.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "delivery/smtp/reply.h"

static void
verdict_clear(struct verdict *v)
{
	v->class = OUTCOME_DEFERRED;
	v->flags = 0;
	v->final = v->loops = false;
	v->code[0] = v->relay[0] = v->tls[0] = v->remote[0] = v->text[0] = v->diagnostic[0] = '\0';
}

void
verdict_set(struct verdict *v, const char *code, const char *format, ...)
{
	va_list args;

	verdict_clear(v);
	v->class = code[0] == '5' ? OUTCOME_BOUNCED : code[0] == '4' ? OUTCOME_DEFERRED : OUTCOME_DELIVERED;
	snprintf(v->code, sizeof v->code, "%s", code);
	va_start(args, format);
	vsnprintf(v->text, sizeof v->text, format, args);
	va_end(args);
}

void
verdict_of_reply(struct verdict *v, const struct reply *r, const char *remote, const char *format, ...)
{
	va_list args;

	verdict_clear(v);
	v->class = r->code / 100 == 5   ? OUTCOME_BOUNCED
		   : r->code / 100 == 2 ? OUTCOME_DELIVERED
					: OUTCOME_DEFERRED;
	enhanced_code_of_reply(r->code, reply_last_text(r), v->code);
	/* A 3xx where none belongs: the peer broke the protocol. */
	if (v->class == OUTCOME_DEFERRED && v->code[0] != '4')
		snprintf(v->code, sizeof v->code, "4.5.0");
	snprintf(v->remote, sizeof v->remote, "%s", remote);
	reply_one_line(r, v->diagnostic, sizeof v->diagnostic);
	va_start(args, format);
	vsnprintf(v->text, sizeof v->text, format, args);
	va_end(args);
}

void
verdict_soften(struct verdict *v)
{
	if (v->class != OUTCOME_BOUNCED)
		return;
	v->class = OUTCOME_DEFERRED;
	v->code[0] = '4';
}
