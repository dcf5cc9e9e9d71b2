#include "services/keys/tickets.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <string.h>

int
tickets_rotate(struct tickets *t, struct error *err)
{
	unsigned char fresh[TICKET_KEYS_LEN];

	if (RAND_priv_bytes(fresh, sizeof(fresh)) != 1)
		return error_set(err, "no random octets for session tickets");
	t->has_previous = t->has_current;
	memcpy(t->previous, t->current, sizeof(fresh));
	memcpy(t->current, fresh, sizeof(fresh));
	t->has_current = true;
	OPENSSL_cleanse(fresh, sizeof(fresh));
	return 0;
}

struct msg_ticket_keys
tickets_message(const struct tickets *t)
{
	return (struct msg_ticket_keys){
	    .current = span_make((const char *)t->current, t->has_current ? TICKET_KEYS_LEN : 0),
	    .previous = span_make((const char *)t->previous, t->has_previous ? TICKET_KEYS_LEN : 0)};
}
