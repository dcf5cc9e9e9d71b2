#include "delivery/smtp/hosts.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"

void
hosts_free(struct hosts *h)
{
	free(h->list);
	memset(h, 0, sizeof *h);
}

int
hosts_add(struct hosts *h, struct span name, struct span data, unsigned preference, uint16_t port)
{
	struct host *host;

	if (h->count == HOSTS_MAX || (data.len != 4 && data.len != 16))
		return -1;
	if (h->count == h->capacity) {
		h->capacity = h->capacity ? h->capacity * 2 : 4;
		h->list = mem_resize(h->list, h->capacity * sizeof h->list[0]);
	}
	host = &h->list[h->count];
	memset(host, 0, sizeof *host);
	if (name.len >= sizeof host->name || !span_copy(name, host->name, sizeof host->name))
		return -1;
	text_lower(host->name, name.len);
	host->preference = preference;
	if (data.len == 4) {
		host->address.v4.sin_family = AF_INET;
		host->address.v4.sin_port = htons(port);
		memcpy(&host->address.v4.sin_addr, data.ptr, 4);
		inet_ntop(AF_INET, data.ptr, host->text, sizeof host->text);
	} else {
		host->address.v6.sin6_family = AF_INET6;
		host->address.v6.sin6_port = htons(port);
		memcpy(&host->address.v6.sin6_addr, data.ptr, 16);
		inet_ntop(AF_INET6, data.ptr, host->text, sizeof host->text);
	}
	h->count++;
	return 0;
}

static void
hosts_shuffle(struct hosts *h)
{
	for (size_t i = h->count; i > 1; i--) {
		size_t j = (size_t)random() % i;
		struct host swap = h->list[i - 1];

		h->list[i - 1] = h->list[j];
		h->list[j] = swap;
	}
}

/* The rank of a host among those of equal preference. */
static unsigned
host_rank(const struct host *host, enum host_family prefer)
{
	sa_family_t family = host->address.any.sa_family;

	if (prefer == HOST_ANY)
		return 0;
	return family != (prefer == HOST_IPV6 ? AF_INET6 : AF_INET);
}

/* Insertion sort: stable, and lists are short. */
static void
hosts_sort(struct hosts *h, enum host_family prefer)
{
	for (size_t i = 1; i < h->count; i++) {
		struct host moved = h->list[i];
		unsigned rank = host_rank(&moved, prefer);
		size_t at = i;

		while (at > 0) {
			const struct host *before = &h->list[at - 1];

			if (before->preference < moved.preference ||
			    (before->preference == moved.preference && host_rank(before, prefer) <= rank))
				break;
			h->list[at] = *before;
			at--;
		}
		if (at != i)
			h->list[at] = moved;
	}
}

/* At most half of the places for one family, as long as the other has hosts for the rest. */
static void
hosts_cut_balanced(struct hosts *h, size_t limit)
{
	size_t of_v4 = 0, of_v6, room_v4, room_v6, kept = 0;

	for (size_t i = 0; i < h->count; i++)
		of_v4 += h->list[i].address.any.sa_family == AF_INET;
	of_v6 = h->count - of_v4;
	room_v6 = of_v6 < limit / 2 ? of_v6 : limit / 2;
	room_v4 = of_v4 < limit - room_v6 ? of_v4 : limit - room_v6;
	room_v6 = limit - room_v4;
	for (size_t i = 0; i < h->count; i++) {
		size_t *room = h->list[i].address.any.sa_family == AF_INET ? &room_v4 : &room_v6;

		if (*room == 0)
			continue;
		--*room;
		h->list[kept++] = h->list[i];
	}
	h->count = kept;
}

void
hosts_order(struct hosts *h, const struct host_order *order)
{
	if (order->randomize)
		hosts_shuffle(h);
	hosts_sort(h, order->prefer);
	if (order->limit == 0 || h->count <= order->limit)
		return;
	if (order->balance && order->limit > 1)
		hosts_cut_balanced(h, order->limit);
	else
		h->count = order->limit;
}

void
hosts_drop_from(struct hosts *h, unsigned preference)
{
	size_t kept = 0;

	for (size_t i = 0; i < h->count; i++)
		if (h->list[i].preference < preference)
			h->list[kept++] = h->list[i];
	h->count = kept;
}

bool
host_same_address(const struct host *a, const struct host *b)
{
	if (a->address.any.sa_family != b->address.any.sa_family)
		return false;
	if (a->address.any.sa_family == AF_INET)
		return a->address.v4.sin_port == b->address.v4.sin_port &&
		       a->address.v4.sin_addr.s_addr == b->address.v4.sin_addr.s_addr;
	return a->address.v6.sin6_port == b->address.v6.sin6_port &&
	       memcmp(&a->address.v6.sin6_addr, &b->address.v6.sin6_addr, 16) == 0;
}
