/* sendmail -oem: what could not be sent goes back to its sender by mail, for whoever called looks at no terminal. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/ipc/protocol.h"
#include "tools/sendmail.h"

enum { CHUNK = 16384, BOUNDARY_SIZE = 40 };

static int
add(struct spooled *to, const char *text, struct error *err)
{
	return spooled_add(to, span_of(text), err);
}

/* That nothing of the message can be taken for. */
static int
make_boundary(char boundary[BOUNDARY_SIZE])
{
	uint64_t numbers[2];

	if (getrandom(numbers, sizeof(numbers), 0) != (ssize_t)sizeof(numbers))
		return -1;
	snprintf(boundary, BOUNDARY_SIZE, "%016llx%016llx", (unsigned long long)numbers[0],
	    (unsigned long long)numbers[1]);
	return 0;
}

/* RFC 3834, 5: nobody's vacation program is to answer. */
static int
put_head(struct spooled *to, struct span sender, const char *host, const char *why, const char *boundary,
    struct error *err)
{
	struct buf text;
	int result;

	buf_init(&text, 8000);
	buf_printf(&text,
	    "From: Mail Delivery System <MAILER-DAEMON>\n"
	    "To: %.*s\n"
	    "Subject: Returned mail: it could not be sent\n"
	    "Auto-Submitted: auto-generated\n"
	    "MIME-Version: 1.0\n"
	    "Content-Type: multipart/mixed; boundary=\"%s\"\n\n"
	    "--%s\nContent-Type: text/plain\n\n"
	    "This is the program sendmail at host %s.\n\n"
	    "A message that was handed to it in your name could not be sent:\n\n"
	    "    %s\n\n"
	    "--%s\nContent-Type: message/rfc822\n\n",
	    SPAN_ARG(sender), boundary, boundary, host, why, boundary);
	result = text.full ? error_set(err, "too long") : spooled_add(to, buf_span(&text), err);
	buf_free(&text);
	return result;
}

static int
put_message(struct spooled *to, const struct spooled *message, struct error *err)
{
	char bytes[CHUNK];
	int n;

	for (uint64_t offset = 0; (n = spooled_read(message, offset, bytes, sizeof(bytes), err)) > 0;
	     offset += (uint64_t)n)
		if (spooled_add(to, span_make(bytes, (size_t)n), err) < 0)
			return -1;
	return n;
}

static int
compose(struct spooled *to, const struct sendmail *s, struct span sender, const struct spooled *message,
    const char *why, struct error *err)
{
	char boundary[BOUNDARY_SIZE];

	if (make_boundary(boundary) < 0 ||
	    put_head(to, sender, s->conf->values->myhostname, why, boundary, err) < 0 ||
	    put_message(to, message, err) < 0 || add(to, "\n--", err) < 0 || add(to, boundary, err) < 0)
		return -1;
	return add(to, "--\n", err);
}

bool
sendmail_return(struct sendmail *s, struct span sender, const struct spooled *message, const char *why)
{
	struct arena *a = arena_new(DROP_ENVELOPE_MAX);
	struct drop_envelope e;
	struct spooled report;
	struct error err;
	bool sent = false;

	drop_envelope_init(&e, a);
	spooled_init(&report, 0);
	e.flags = DROP_NULL_SENDER;
	e.sender = SPAN_LIT("");
	if (sender.len > 0 && drop_envelope_add(&e, sender, &err) == 0 &&
	    compose(&report, s, sender, message, why, &err) == 0)
		sent = sendmail_submit(s, &e, &report, NULL, &err) == 0;
	spooled_free(&report);
	arena_free(&a);
	return sent;
}
