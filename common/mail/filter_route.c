#include "common/mail/filter_route.h"

#include "common/mail/address.h"

void
filter_route(struct span filter, struct span recipient, struct span *transport, struct span *nexthop)
{
	ptrdiff_t colon = span_find(filter, ':');
	struct span local;

	*transport = colon < 0 ? filter : span_sub(filter, 0, (size_t)colon);
	*nexthop = colon < 0 ? span_make(NULL, 0) : span_from(filter, (size_t)colon + 1);
	if (nexthop->len == 0)
		address_split(recipient, &local, nexthop);
}
