#include "queue/index/cards.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/io.h"
#include "common/base/mem.h"
#include "queue/log/disk.h"

enum { OWN = 12, ORIGINAL = 12, FIRST_CARDS = 16, SLACK_OCTETS = 1 << 20 };

static const char file_name[] = ".cards";
static const off_t slot_octets = 8 << 20, texts_at = 4 << 20;

_Static_assert(sizeof(struct card) == 64, "a card is a line of the cache");
_Static_assert(CARDS_MAX * sizeof(struct card) <= 4 << 20, "cards end where texts begin");

void
card_list_init(struct card_list *l)
{
	*l = (struct card_list){.all = NULL};
	buf_init(&l->texts, CARD_TEXTS_MAX);
}

void
card_list_free(struct card_list *l)
{
	free(l->all);
	buf_free(&l->texts);
	card_list_init(l);
}

void
card_list_clear(struct card_list *l)
{
	l->count = 0;
	buf_clear(&l->texts);
}

size_t
card_list_octets(const struct card_list *l)
{
	return l->count * sizeof(struct card) + l->texts.len;
}

static void
make_room(struct card_list *l, size_t count)
{
	if (count <= l->cap)
		return;
	l->cap = l->cap ? l->cap : FIRST_CARDS;
	while (l->cap < count)
		l->cap *= 2;
	l->all = mem_resize(l->all, l->cap * sizeof(*l->all));
}

static struct card *
new_card(struct card_list *l)
{
	if (l->count == CARDS_MAX)
		return NULL;
	make_room(l, l->count + 1);
	return &l->all[l->count++];
}

int
card_list_add(struct card_list *l, const struct summary *row)
{
	struct summary s = *row;
	struct summary_recipient r;
	int got;

	while ((got = summary_next(&s, &r)) > 0) {
		struct card *c = new_card(l);

		if (!c)
			return -1;
		*c = (struct card){.id = s.id,
		    .sender = s.sender,
		    .address = r.address,
		    .size = s.size,
		    .sender_domain = s.sender_domain,
		    .domain = r.domain,
		    .hop = r.hop,
		    .reason = r.reason,
		    .hold_reason = s.hold_reason,
		    .arrival_s = s.arrival_s,
		    .text = (uint32_t)l->texts.len,
		    .len = (uint8_t)r.variables.len,
		    .flags = s.flags,
		    .cut = r.cut};
		if (s.flags & SUMMARY_OWN_SENDER) {
			buf_append(&l->texts, &s.own_sender, sizeof(s.own_sender));
			buf_append(&l->texts, &s.own_domain, sizeof(s.own_domain));
		}
		if (r.original == 0)
			c->flags &= (uint8_t)~SUMMARY_ORIGINALS;
		if (c->flags & SUMMARY_ORIGINALS) {
			buf_append(&l->texts, &r.original, sizeof(r.original));
			buf_append(&l->texts, &r.original_domain, sizeof(r.original_domain));
		}
		buf_append_span(&l->texts, r.variables);
	}
	return got < 0 || l->texts.full ? -1 : 0;
}

int
card_list_gone(struct card_list *l, uint64_t id)
{
	struct card *c = new_card(l);

	if (!c)
		return -1;
	*c = (struct card){.id = id, .gone = true};
	return 0;
}

static struct span
text_of(const struct card_list *l, const struct card *c)
{
	size_t len = c->len + (c->flags & SUMMARY_OWN_SENDER ? (size_t)OWN : 0) +
		     (c->flags & SUMMARY_ORIGINALS ? (size_t)ORIGINAL : 0);

	return span_sub(buf_span(&l->texts), c->text, len);
}

void
card_read(const struct card_list *l, const struct card *c, struct summary *s, struct summary_recipient *r)
{
	struct span text = text_of(l, c);

	*s = (struct summary){.id = c->id,
	    .flags = c->flags,
	    .count = 1,
	    .sender_domain = c->sender_domain,
	    .sender = c->sender,
	    .arrival_s = c->arrival_s,
	    .size = c->size,
	    .hold_reason = c->hold_reason};
	if (c->flags & SUMMARY_OWN_SENDER && text.len >= OWN) {
		memcpy(&s->own_sender, text.ptr, sizeof(s->own_sender));
		memcpy(&s->own_domain, text.ptr + sizeof(s->own_sender), sizeof(s->own_domain));
		text = span_from(text, OWN);
	}
	*r = (struct summary_recipient){
	    .address = c->address, .domain = c->domain, .hop = c->hop, .reason = c->reason, .cut = c->cut};
	if (c->flags & SUMMARY_ORIGINALS && text.len >= ORIGINAL) {
		memcpy(&r->original, text.ptr, sizeof(r->original));
		memcpy(&r->original_domain, text.ptr + sizeof(r->original), sizeof(r->original_domain));
		text = span_from(text, ORIGINAL);
	}
	r->variables = text;
}

/* ---- merging ---- */

static int
copy_card(struct card_list *to, const struct card_list *from, const struct card *c)
{
	struct span text = text_of(from, c);
	struct card *new = new_card(to);

	if (!new)
		return -1;
	*new = *c;
	new->text = (uint32_t)to->texts.len;
	return text.len > 0 ? buf_append_span(&to->texts, text) : 0;
}

static int
by_id(const void *a, const void *b)
{
	const struct card *const *x = a, *const *y = b;

	if ((*x)->id != (*y)->id)
		return (*x)->id < (*y)->id ? -1 : 1;
	return *x < *y ? -1 : *x > *y;
}

/* What was changed of one message. *end: behind its last. Returns where what counts begins; *gone: the rest does not. */
static size_t
changes_of_one(const struct card **sorted, size_t count, size_t at, size_t *end, bool *gone)
{
	size_t begin = at;

	*gone = false;
	for (*end = at; *end < count && sorted[*end]->id == sorted[at]->id; ++*end)
		if (sorted[*end]->gone) {
			*gone = true;
			begin = *end + 1;
		}
	return begin;
}

int
card_list_merge(struct card_list *to, const struct card_list *from, const struct card_list *changes)
{
	const struct card **sorted = mem_alloc_array(changes->count + 1, sizeof(struct card *));
	size_t i = 0, at = 0, end;
	bool gone;
	int bad = 0;

	for (size_t k = 0; k < changes->count; k++)
		sorted[k] = &changes->all[k];
	qsort(sorted, changes->count, sizeof(struct card *), by_id);
	while (!bad && (i < from->count || at < changes->count)) {
		if (at == changes->count || (i < from->count && from->all[i].id < sorted[at]->id)) {
			bad = copy_card(to, from, &from->all[i++]);
			continue;
		}
		at = changes_of_one(sorted, changes->count, at, &end, &gone);
		for (; i < from->count && from->all[i].id == sorted[end - 1]->id; i++)
			bad |= gone ? 0 : copy_card(to, from, &from->all[i]);
		for (; at < end; at++)
			bad |= copy_card(to, changes, sorted[at]);
	}
	free(sorted);
	return bad;
}

/* ---- the file ---- */

void
card_file_init(struct card_file *f)
{
	memset(f->octets, 0, sizeof(f->octets));
	f->fd = -1;
	for (f->free_count = 0; f->free_count < CARD_SLOTS; f->free_count++)
		f->free[f->free_count] = (uint16_t)(CARD_SLOTS - 1 - f->free_count);
}

int
card_file_open(struct card_file *f, const char *dir)
{
	int folder = disk.openat(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);

	if (folder < 0)
		return -1;
	f->fd = disk.openat(folder, file_name, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (f->fd >= 0 && disk.unlinkat(folder, file_name, 0) < 0)
		io_close(&f->fd);
	io_close(&folder);
	return f->fd < 0 ? -1 : 0;
}

void
card_file_close(struct card_file *f)
{
	if (f->fd >= 0)
		io_close(&f->fd);
	card_file_init(f);
}

uint16_t
card_file_take(struct card_file *f)
{
	if (f->free_count == 0)
		panic("no slot for cards is left");
	return f->free[--f->free_count];
}

/* What was there takes no room on the disk any more, where the file system knows holes. */
static void
punch(struct card_file *f, uint16_t slot)
{
	if (f->octets[slot] > 0)
		(void)fallocate(
		    f->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, slot * slot_octets, slot_octets);
	f->octets[slot] = 0;
}

void
card_file_give(struct card_file *f, uint16_t slot)
{
	punch(f, slot);
	f->free[f->free_count++] = slot;
}

int
card_file_store(struct card_file *f, uint16_t slot, const struct card_list *l)
{
	off_t at = slot * slot_octets;
	size_t octets = card_list_octets(l);

	if (f->octets[slot] > 2 * octets + SLACK_OCTETS)
		punch(f, slot);
	if (f->octets[slot] < octets)
		f->octets[slot] = (uint32_t)octets;
	if (disk_write_all(f->fd, l->all, l->count * sizeof(struct card), at) < 0)
		return -1;
	return disk_write_all(f->fd, buf_ptr(&l->texts), l->texts.len, at + texts_at);
}

static int
load(struct card_file *f, void *bytes, size_t len, off_t at)
{
	ssize_t n = disk_read_all(f->fd, bytes, len, at);

	return n < 0 || (size_t)n < len ? -1 : 0;
}

int
card_file_load(struct card_file *f, uint16_t slot, size_t count, struct card_list *l)
{
	card_list_clear(l);
	make_room(l, count);
	if (load(f, l->all, count * sizeof(struct card), slot * slot_octets) < 0)
		return -1;
	l->count = count;
	return 0;
}

int
card_file_load_texts(struct card_file *f, uint16_t slot, size_t octets, struct card_list *l)
{
	if (octets == 0)
		return 0;
	if (load(f, buf_reserve(&l->texts, octets), octets, slot * slot_octets + texts_at) < 0)
		return -1;
	buf_added(&l->texts, octets);
	return 0;
}
