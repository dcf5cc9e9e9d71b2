/*
 * index_db: the inside of the index, for the files of this folder alone.
 */
#ifndef POSTERN_QUEUE_INDEX_DB_H
#define POSTERN_QUEUE_INDEX_DB_H

#include <db.h>
#include <stdatomic.h>

#include "queue/index/index.h"
#include "queue/index/zones.h"

enum { INDEX_SALT_SIZE = 16, DICTIONARY_CACHE = 8192 };

struct index {
	DB_ENV *env;
	DB *messages; /* id: positions, payload */
	DB *summaries; /* id, part: summary.h */
	DB *keys; /* keys.h */
	DB *texts; /* dictionary.h */
	DB *meta;
	int why; /* it is not open: an errno, 0 where none is known */
	uint64_t position;
	uint64_t sequence; /* transactions so far: a reopened index that has fewer lost some */
	uint8_t salt[INDEX_SALT_SIZE]; /* of hashes: nobody outside can make two texts meet */
	struct buf scratch;
	void *bulk; /* of rows.c, between its steps */
	const char *dir; /* kept by reference */
	size_t cache_bytes, log_bytes;
	bool hidden;
	bool in_memory;
	struct zones zones;

	/* compact.c */
	uint64_t changed; /* octets since the last time */
	bool compacting;
	uint64_t compact_gain; /* octets of pages that this pass freed or gave back */
	unsigned compact_table;
	uint32_t compact_rows; /* of a step */
	atomic_bool busy; /* the loop says so: an operator acts on many */
	struct buf compact_from, compact_to; /* keys */

	/* The dictionary. */
	uint32_t next_number;
	struct {
		uint64_t hash;
		uint32_t number;
	} cache[DICTIONARY_CACHE];
	struct sweep *sweep;
	uint32_t swept_next, swept_live; /* next_number, and entries that were left, after the last sweep */
};

int db_error(struct error *err, int status, const char *what);
DBT dbt_of(struct span s);

/* It is closed after an error that it could not be opened again from. */
int check_open(const struct index *x, struct error *err);

/* A checkpoint, if enough was written to Berkeley DB's log since the last one. */
int index_trim_log(struct index *x, struct error *err);

/* -1 if it is none. */
int index_decode_row(uint64_t id, const DBT *value, struct index_row *row);
int index_put_meta(struct index *x, DB_TXN *txn, uint64_t position, struct error *err);

DBT id_key(uint64_t id, char bytes[8]);

#endif
