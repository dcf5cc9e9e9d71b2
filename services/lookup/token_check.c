#include "services/lookup/token_check.h"

#include <stdio.h>
#include <string.h>

static enum auth_status
refuse(struct password_question *q, const char *why)
{
	error_set(&q->trouble, "%s", why);
	return AUTH_REFUSED;
}

/* Names that differ in case alone are one user, as in the other tables; the token's form counts. */
static enum auth_status
compare(struct password_question *q, struct span user)
{
	bool bare = span_find(user, '@') < 0 && q->local_domain[0] != '\0';
	int len = snprintf(q->name, sizeof(q->name), "%.*s%s%s", SPAN_ARG(user), bare ? "@" : "",
	    bare ? q->local_domain : "");

	if (user.len == 0 || len < 0 || (size_t)len >= sizeof(q->name))
		return refuse(q, "the token's user has a name that is too long");
	if (q->user[0] != '\0' && !span_equal_nocase(span_of(q->name), span_of(q->user)))
		return refuse(q, "the token is another user's");
	return AUTH_ACCEPTED;
}

static enum auth_status
judge(enum lookup_status status, const struct map_found *found, struct password_question *q)
{
	if (status == LOOKUP_NOT_FOUND)
		return refuse(q, found->err.text[0] != '\0' ? found->err.text : "no such token");
	if (status == LOOKUP_FOUND && found->of_token)
		return compare(q, buf_span(&found->value));
	/* A value that stands for something else (an access token of our own) lets nobody in. */
	if (status == LOOKUP_FOUND)
		error_set(&q->trouble, "%s: this table does not say whose a token is", found->table);
	else
		q->trouble = found->err;
	return AUTH_TEMPORARY;
}

void
token_answer(struct maplist *list, struct map_found *found, struct password_question *q)
{
	found->err = (struct error){0};
	q->status = judge(maplist_lookup(list, span_of(q->password), false, found), found, q);
	if (q->status != AUTH_ACCEPTED)
		q->name[0] = '\0';
	/* A short one is kept as the key that was found. */
	if (found->key.mem != NULL)
		explicit_bzero(found->key.mem, found->key.cap);
	buf_clear(&found->key);
	if (found->value.mem != NULL)
		explicit_bzero(found->value.mem, found->value.cap);
	buf_clear(&found->value);
}
