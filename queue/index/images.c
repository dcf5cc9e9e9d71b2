#include "queue/index/images.h"

#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "queue/index/zones.h"

enum { FOLD_CARDS = 512, CHANGED_MAX = 4 << 20, FOLD_AT_ONCE = 16, AGAIN_S = 60 };

void
images_init(struct images *all)
{
	*all = (struct images){.open_after_us = 0};
	card_file_init(&all->file);
	card_list_init(&all->loaded);
	card_list_init(&all->merged);
}

void
images_fini(struct images *all)
{
	card_list_free(&all->loaded);
	card_list_free(&all->merged);
}

bool
images_open(struct zones *z, const char *dir)
{
	struct images *all = &z->images;

	if (all->file.fd >= 0 || clock_mono_us() < all->open_after_us)
		return false;
	if (card_file_open(&all->file, dir) == 0)
		return true;
	all->open_after_us = clock_mono_us() + AGAIN_S * US_PER_SECOND;
	return false;
}

static void
forget_changes(struct images *all, struct image *image)
{
	if (!image->changes)
		return;
	all->changed -= card_list_octets(image->changes);
	card_list_free(image->changes);
	free(image->changes);
	image->changes = NULL;
}

void
images_close(struct zones *z)
{
	for (size_t i = 0; i < z->count; i++) {
		forget_changes(&z->images, &z->all[i]->image);
		z->all[i]->image.there = false;
	}
	z->images.loaded_zone = NULL;
	card_file_close(&z->images.file);
}

/* The disk does not take it, or lost it: without images it is slower, and right. */
static void
lose_all(struct zones *z)
{
	images_close(z);
	z->images.open_after_us = clock_mono_us() + AGAIN_S * US_PER_SECOND;
}

void
image_drop(struct zones *z, struct zone *zone)
{
	forget_changes(&z->images, &zone->image);
	if (z->images.loaded_zone == zone)
		z->images.loaded_zone = NULL;
	if (zone->image.there)
		card_file_give(&z->images.file, zone->image.slot);
	zone->image.there = false;
}

static uint32_t
count_messages(const struct card_list *l)
{
	uint32_t count = 0;

	for (size_t i = 0; i < l->count; i++)
		count += i == 0 || l->all[i].id != l->all[i - 1].id;
	return count;
}

void
image_set(struct zones *z, struct zone *zone, const struct card_list *l)
{
	struct images *all = &z->images;
	struct image *image = &zone->image;

	forget_changes(all, image);
	if (all->loaded_zone == zone)
		all->loaded_zone = NULL;
	if (all->file.fd < 0)
		return;
	if (!image->there)
		image->slot = card_file_take(&all->file);
	image->there = true;
	image->cards = (uint32_t)l->count;
	image->texts = (uint32_t)l->texts.len;
	image->messages = count_messages(l);
	if (card_file_store(&all->file, image->slot, l) < 0)
		lose_all(z);
}

static int
load_cards(struct images *all, const struct zone *zone)
{
	if (all->loaded_zone == zone)
		return 0;
	all->loaded_zone = NULL;
	all->loaded_texts = false;
	return card_file_load(&all->file, zone->image.slot, zone->image.cards, &all->loaded);
}

static int
load_texts(struct images *all, const struct zone *zone)
{
	all->loaded_texts = true;
	return card_file_load_texts(&all->file, zone->image.slot, zone->image.texts, &all->loaded);
}

static bool
load(struct zones *z, const struct zone *zone, bool texts)
{
	struct images *all = &z->images;

	if (load_cards(all, zone) < 0 || (texts && !all->loaded_texts && load_texts(all, zone) < 0)) {
		lose_all(z);
		return false;
	}
	all->loaded_zone = zone;
	return true;
}

/* Merges the changes. A zone that then has too much has no image: it is divided when it is read again. */
static void
fold(struct zones *z, struct zone *zone)
{
	struct images *all = &z->images;

	if (!zone->image.there || !zone->image.changes || !load(z, zone, true))
		return;
	card_list_clear(&all->merged);
	if (card_list_merge(&all->merged, &all->loaded, zone->image.changes) < 0)
		zones_forget_one(z, zone);
	else
		image_set(z, zone, &all->merged);
}

void
images_fold(struct zones *z)
{
	struct images *all = &z->images;

	while (all->changed > CHANGED_MAX)
		for (unsigned i = 0; i < FOLD_AT_ONCE; i++)
			fold(z, z->all[all->fold_next++ % z->count]);
}

static struct card_list *
changes_of(struct image *image)
{
	if (!image->changes) {
		image->changes = mem_alloc(sizeof(*image->changes));
		card_list_init(image->changes);
	}
	return image->changes;
}

/* One change was noted, or could not be. */
static void
noted(struct zones *z, struct zone *zone, size_t octets_before, int bad)
{
	z->images.changed += card_list_octets(zone->image.changes) - octets_before;
	if (bad < 0)
		zones_forget_one(z, zone);
	else if (zone->image.changes->count >= FOLD_CARDS)
		fold(z, zone);
	images_fold(z);
}

void
image_add(struct zones *z, struct zone *zone, const struct summary *row)
{
	struct card_list *changes;
	size_t before;

	if (!zone->image.there)
		return;
	changes = changes_of(&zone->image);
	before = card_list_octets(changes);
	noted(z, zone, before, card_list_add(changes, row));
}

void
image_gone(struct zones *z, struct zone *zone, uint64_t id)
{
	struct card_list *changes;
	size_t before;

	if (!zone->image.there)
		return;
	changes = changes_of(&zone->image);
	before = card_list_octets(changes);
	noted(z, zone, before, card_list_gone(changes, id));
}

void
image_join(struct zones *z, struct zone *to, struct zone *from)
{
	struct images *all = &z->images;
	struct card_list first, none;
	bool there = to->image.there && from->image.there;

	card_list_init(&first);
	card_list_init(&none);
	if (there && image_load(z, to, true))
		there = card_list_merge(&first, &all->loaded, &none) == 0;
	if (there && image_load(z, from, true))
		there = card_list_merge(&first, &all->loaded, &none) == 0;
	if (there && to->image.there && from->image.there)
		image_set(z, to, &first);
	else
		image_drop(z, to);
	image_drop(z, from);
	card_list_free(&first);
}

const struct card_list *
image_load(struct zones *z, struct zone *zone, bool texts)
{
	fold(z, zone);
	return zone->image.there && load(z, zone, texts) ? &z->images.loaded : NULL;
}

bool
image_count(struct zones *z, struct zone *zone, uint32_t *messages)
{
	fold(z, zone);
	*messages = zone->image.messages;
	return zone->image.there;
}
