/* Recipients of a submission, with senders of their own where VERP was asked for: docs/design/verp.md. */
#include "queue/submission.h"

enum { SENDER_MAX = 1000, ARENA_BYTES = 16384 };

/* From the address as it was given, for that is whom a list knows. What would be too long stays as it was. */
static void
make_sender(const struct submission *s, struct part_recipient *p, struct arena *a)
{
	struct span given = p->orig_to.len ? p->orig_to : p->recipient;
	struct span sender = verp_sender(a, span_of(s->verp), s->e.sender, given);

	if (sender.ptr == NULL || sender.len > SENDER_MAX)
		return;
	p->own_sender = OWN_SENDER_VERP;
	p->sender = sender;
}

int
submission_encode_recipient(struct submission *s, struct part_recipient *p)
{
	struct arena *a;
	int result;

	if (!s->verp[0] || s->e.sender.len == 0)
		return part_encode_recipient(&s->recipients, p);
	a = arena_new(ARENA_BYTES);
	make_sender(s, p, a);
	result = part_encode_recipient(&s->recipients, p);
	arena_free(&a);
	return result;
}
