/*
 * index: what waits for later, in Berkeley DB. Derived from the log: lose it and it is rebuilt.
 *
 * A transactional environment private to queue; after start-up only the indexer's thread calls these. Messages lie
 * by id (log positions, then the payload of a SNAPSHOT without content). Beside each lies its summary (summary.h), small and of a
 * fixed form, from which filters and counts are answered by a scan (query.h); texts that many messages share are in a
 * dictionary (dictionary.h). One table of keys, each ending in the id, leads to messages by next hop and due time and by segment.
 *
 * A transaction applies only what is durable in the log, and stores the position of the oldest record that is not
 * reflected yet, from which replay starts. No sync of its own but at checkpoints: after a power cut the index is as it
 * was at some earlier transaction, position and all.
 */
#ifndef POSTERN_QUEUE_INDEX_H
#define POSTERN_QUEUE_INDEX_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/base/span.h"

struct index;

enum { INDEX_VERSION = 6 };

/* The first octet of a key (keys.h). */
enum index_key {
	INDEX_DUE = 'u', /* by hop and due time */
	INDEX_SEGMENT = 'g' /* by the first log position of the message's segment, 8 octets, big-endian */
};

/* One message to be stored (row set) or removed. */
struct index_change {
	uint64_t id;
	uint64_t position;
	uint64_t content_position;
	uint64_t segment; /* first log position of the segment in which 'position' lies */
	struct span row; /* ptr NULL: remove */
};

struct index_row {
	uint64_t id;
	uint64_t position;
	uint64_t content_position;
	uint64_t segment;
	struct span payload;
};

/* dir is relative to the working directory. NULL with err: it is damaged or of another version: wipe and open again. */
struct index *index_open(const char *dir, size_t cache_bytes, size_t log_bytes, struct error *err);
void index_close(struct index **x);

/* Closed and hidden as yet: index_reopen() opens it, in the indexer's thread. */
struct index *index_new(const char *dir, size_t cache_bytes, size_t log_bytes);

/* What is stored is not up to date with the log yet: whoever reads finds nothing. index_apply() works. */
void index_hide(struct index *x, bool hidden);

/* Before index_renew(): it is made where nothing can be written, and ends with the process. */
void index_in_memory(struct index *x);

/* Much is being changed: pages are not joined meanwhile. Any thread. */
void index_busy(struct index *x, bool busy);

/*
 * After an error: recovers and opens it again, as it was at the last transaction that is whole. An index that then knows
 * less than it did (its log was damaged) is refused: what left memory may be missing in it. Where it fails, every call fails
 * with ENOSPC until it succeeds, or index_renew() does.
 */
int index_reopen(struct index *x, struct error *err);

/* Removes all files of the environment. */
int index_wipe(const char *dir, struct error *err);

/* Begins an empty one in place of what is there. */
int index_renew(struct index *x, struct error *err);

/* Log position from which replay starts; 0 in a new index. */
uint64_t index_position(const struct index *x);

/* One transaction. */
int index_apply(
    struct index *x, const struct index_change *changes, size_t count, uint64_t position, struct error *err);

/* Makes all so far durable. */
int index_checkpoint(struct index *x, struct error *err);

/* 1 found (row points into out), 0 not there, -1 err. */
int index_load(struct index *x, uint64_t id, struct buf *out, struct index_row *row, struct error *err);

/* Return false to stop. row and key live until then. */
typedef bool index_visit(const struct index_row *row, void *context);
typedef bool index_visit_hop(uint32_t number, struct span hop, int64_t earliest_spool_us, void *context);
typedef bool index_visit_due(uint64_t id, int64_t due_spool_us, void *context);
typedef bool index_visit_id(uint64_t id, void *context);

/* All messages with ids above 'after', ascending. */
int index_each(struct index *x, uint64_t after, index_visit *visit, void *context, struct error *err);

/* Ids above 'after' that have that key. */
int index_each_key(struct index *x, enum index_key kind, struct span key, uint64_t after,
    index_visit_id *visit, void *context, struct error *err);

/* Next hops with something due at any time, each once with its earliest, in the order of their numbers (from 1 on), beginning with 'from'. */
int index_each_hop(struct index *x, uint32_t from, index_visit_hop *visit, void *context, struct error *err);

/* What is due for a hop, earliest first. */
int index_each_due(
    struct index *x, struct span hop, index_visit_due *visit, void *context, struct error *err);

#endif
