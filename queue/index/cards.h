/*
 * cards: the summaries in the form in which filters read them, and the file that keeps them.
 *
 * A card is one recipient of a message with all that a filter asks about, of a fixed form, so that a million of them are looked
 * through in some ten milliseconds; what varies in length lies beside them (texts). The file has no name: it ends with
 * the process, and nothing that was written by another one is ever read. It has a slot for each run of messages.
 */
#ifndef POSTERN_QUEUE_CARDS_H
#define POSTERN_QUEUE_CARDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "queue/index/summary.h"

enum { CARDS_MAX = 1 << 16, CARD_TEXTS_MAX = 4 << 20, CARD_SLOTS = 2056 };

struct card {
	uint64_t id, sender, address, size;
	uint32_t sender_domain, domain, hop, reason, hold_reason, arrival_s;
	uint32_t text; /* where it begins: own sender, original address, variables of the reason */
	uint8_t len; /* of the variables */
	uint8_t flags; /* the summary's; SUMMARY_ORIGINALS: it has one itself */
	bool cut; /* the variables are too long to be here */
	bool gone; /* in a list of changes: what was there of that message counts no more */
};

struct card_list {
	struct card *all;
	size_t count, cap;
	struct buf texts;
};

void card_list_init(struct card_list *l);
void card_list_free(struct card_list *l);
void card_list_clear(struct card_list *l);

/* Octets that it stands for. */
size_t card_list_octets(const struct card_list *l);

/* Adds the recipients of a row. -1: there is no room, or the row is damaged; the list is of no use then. */
int card_list_add(struct card_list *l, const struct summary *row);

/* In a list of changes: a message was removed, or what follows replaces it. */
int card_list_gone(struct card_list *l, uint64_t id);

/* Adds to 'to' what is in 'from', in the order of ids, as 'changes' (in the order in which they came) make it. -1: no room. */
int card_list_merge(struct card_list *to, const struct card_list *from, const struct card_list *changes);

/* A card as the row it came from, without recipients, and its recipient. Own senders, original addresses and variables need the texts. */
void card_read(
    const struct card_list *l, const struct card *c, struct summary *s, struct summary_recipient *r);

/* ---- the file ---- */

struct card_file {
	int fd; /* -1: none */
	uint32_t octets[CARD_SLOTS]; /* that a slot takes on the disk */
	uint16_t free[CARD_SLOTS];
	size_t free_count;
};

void card_file_init(struct card_file *f);

/* In the folder dir. -1 with errno set. */
int card_file_open(struct card_file *f, const char *dir);
void card_file_close(struct card_file *f);

/* A slot for a list; there are enough for all. */
uint16_t card_file_take(struct card_file *f);
void card_file_give(struct card_file *f, uint16_t slot);

/* -1 with errno set. */
int card_file_store(struct card_file *f, uint16_t slot, const struct card_list *l);

/* The list is so many cards then, as they were stored, without their texts; those are added when they are wanted. */
int card_file_load(struct card_file *f, uint16_t slot, size_t count, struct card_list *l);
int card_file_load_texts(struct card_file *f, uint16_t slot, size_t octets, struct card_list *l);

#endif
