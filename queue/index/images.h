/*
 * images: the cards (cards.h) of each zone, and what was changed since they were written.
 *
 * An image is what the summaries of its zone say, at every moment between two transactions: changes gather in memory, some
 * hundred for one zone and some megabytes for all, and are merged into the file. A zone may be without one (the file cannot be
 * written, too many recipients); it is read from the summaries then.
 */
#ifndef POSTERN_QUEUE_IMAGES_H
#define POSTERN_QUEUE_IMAGES_H

#include "queue/index/cards.h"

struct zone;
struct zones;

struct image {
	bool there;
	uint16_t slot;
	uint32_t cards, texts, messages; /* in the file */
	struct card_list *changes; /* or NULL */
};

/* What they have together. */
struct images {
	struct card_file file;
	int64_t open_after_us; /* it could not be written: not before then */
	size_t changed; /* octets of changes */
	size_t fold_next;
	struct card_list loaded, merged;
	const struct zone *loaded_zone; /* whose cards 'loaded' has */
	bool loaded_texts;
};

void images_init(struct images *all);

/* All are gone, and the file. */
void images_close(struct zones *z);
void images_fini(struct images *all);

/* Opens the file in dir if it is time to. True: it is new, and no zone has an image yet. */
bool images_open(struct zones *z, const char *dir);

/* The zone's image is this list from now on, or there is none. */
void image_set(struct zones *z, struct zone *zone, const struct card_list *l);
void image_drop(struct zones *z, struct zone *zone);

/* A row of its zone was stored; what was stored of a message does not count any more. */
void image_add(struct zones *z, struct zone *zone, const struct summary *row);
void image_gone(struct zones *z, struct zone *zone, uint64_t id);

/* What lies in 'from', whose ids are higher, goes to 'to'. */
void image_join(struct zones *z, struct zone *to, struct zone *from);

/* The zone's cards, changes merged; with texts if they are wanted. Lives until the next call. NULL: there is no image. */
const struct card_list *image_load(struct zones *z, struct zone *zone, bool texts);

/* How many messages have open recipients in it. False: there is no image. */
bool image_count(struct zones *z, struct zone *zone, uint32_t *messages);

/* Merges the changes of some zones if there are too many. */
void images_fold(struct zones *z);

#endif
