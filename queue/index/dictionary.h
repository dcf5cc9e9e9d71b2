/*
 * dictionary: texts that many messages share (domains, next hops, reasons), each kept once, and their numbers.
 *
 * A number is never given twice in the life of an index. Texts that nothing refers to any more are swept out from
 * time to time (sweep.c). Number 0 is the empty text.
 */
#ifndef POSTERN_QUEUE_DICTIONARY_H
#define POSTERN_QUEUE_DICTIONARY_H

#include "queue/index/index_db.h"

enum dictionary_kind {
	DICTIONARY_DOMAIN = 'd', /* of senders and recipients, lower case */
	DICTIONARY_HOP = 'h', /* "transport:nexthop", lower case */
	DICTIONARY_REASON = 'r' /* templates of mask.h; hold reasons as they are */
};

enum { DICTIONARY_TEXT_MAX = 2000 };

/* Hash of a text, letters of ASCII folded: for addresses. Never 0 unless the text is empty. */
uint64_t dictionary_hash(const struct index *x, struct span text);

/* Sets *number: of a new entry if there is none and txn is given, else 0. */
int dictionary_number(struct index *x, DB_TXN *txn, enum dictionary_kind kind, struct span text,
    uint32_t *number, struct error *err);

/* Appends the text. 1, 0 if there is no such number, -1 err. */
int dictionary_text(
    struct index *x, enum dictionary_kind kind, uint32_t number, struct buf *out, struct error *err);

/* Entries of a kind with numbers from 'from' on, ascending. Return false to stop. */
typedef bool dictionary_visit(uint32_t number, struct span text, void *context);
int dictionary_each(struct index *x, enum dictionary_kind kind, uint32_t from, dictionary_visit *visit,
    void *context, struct error *err);

int dictionary_remove(
    struct index *x, DB_TXN *txn, enum dictionary_kind kind, uint32_t number, struct error *err);

/* A transaction was aborted: what it brought is not known. */
void dictionary_forget(struct index *x, uint32_t next_number);

#endif
