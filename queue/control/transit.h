/*
 * transit: mail on its way from one instance to another ("postern queue export" and "import").
 *
 * A message travels as one file:
 *
 *   "postern mail 1\n" and a NUL    the version is the number
 *   u64 id, payload_len, content_len
 *   i64 spool_us, wall_us           what the exporter's clocks showed
 *   payload                         of a SNAPSHOT record, without content; on hold only if it was before
 *   content
 *   u64 checksum                    of all before (transit_sum): what was cut, flipped or mixed up is found
 *
 * Numbers are little-endian. The checksum has no secret: whoever reads a file checks all that is in it, too.
 *
 * While a message is written, and until the operator's tool has it on its disk, it is on hold with a reason that names
 * the directory (its mark); likewise the one that arrives, until its file is renamed. So a crash at any point leaves a
 * message that waits to be taken up by a second run, and never two that are sent. A file has a name under which it can be imported
 * (.mail) only when its message is sealed: a mark of its own, after which it is neither written again nor let go on here.
 */
#ifndef POSTERN_QUEUE_TRANSIT_H
#define POSTERN_QUEUE_TRANSIT_H

#include "queue/message.h"

enum { TRANSIT_HEAD_SIZE = 56, TRANSIT_SUM_SIZE = 8, TRANSIT_PAYLOAD_MAX = 8 << 20, TRANSIT_DIR_MAX = 200 };

struct transit_head {
	uint64_t id, payload_len, content_len;
	int64_t spool_us, wall_us;
};

void transit_head_encode(struct buf *out, const struct transit_head *head);

/* bytes: TRANSIT_HEAD_SIZE octets. -1 with err: no such file, another version, lengths that cannot be. */
int transit_head_decode(struct span bytes, struct transit_head *head, struct error *err);

/*
 * The message of a file, as it is to be here: times in this instance's spool time (its age is kept, and grows by the
 * time that it was under way, a day at most), routes to be asked for anew. NULL with err if anything in it cannot be.
 */
struct message *transit_message(const struct transit_head *head, struct span payload, int64_t now_spool_us,
    int64_t now_wall_us, struct error *err);

/* ---- checksum ---- */

enum { TRANSIT_BLOCK = 4096 };

/* SipHash of each block of so many octets, the key being the last one's result and its number; the rest likewise. */
struct transit_sum {
	uint64_t last, blocks;
	size_t len;
	char block[TRANSIT_BLOCK];
};

void transit_sum_add(struct transit_sum *s, struct span bytes);
void transit_sum_end(struct transit_sum *s, uint8_t sum[TRANSIT_SUM_SIZE]);

/* ---- marks ---- */

enum transit_way { TRANSIT_OUT, TRANSIT_SEALED, TRANSIT_IN };

/* Held for a transit of any kind; held for this one. */
bool transit_is_marked(const struct message *m);
bool transit_is_mine(const struct message *m, enum transit_way way, const char *dir);

/* Puts it on hold for that. who, at_us: of the operator; who put it on hold before stays known. */
void transit_mark(struct message *m, enum transit_way way, const char *dir, const char *who, int64_t at_us);

/* As it was before the mark. */
void transit_unmark(struct message *m, enum transit_way way, const char *dir);

#endif
