/*
 * queue_move: postern queue export and import. Files are written and read by the caller; their octets are queue's
 * (queue/control/transit.h).
 */
#ifndef POSTERN_TOOLS_QUEUE_MOVE_H
#define POSTERN_TOOLS_QUEUE_MOVE_H

#include "common/base/buf.h"
#include "tools/frame_client.h"
#include "tools/tool.h"

/* args: filters as lines of CONTROL_ASK; none: every message. */
int queue_export(struct tool *tool, struct span args, const char *dir);
int queue_import(struct tool *tool, const char *dir);

/* ---- what both use ---- */

struct move {
	struct tool *tool;
	struct frame_client client;
	uint32_t call;
	int dir;
	char path[4096]; /* of dir, absolute */
	uint64_t moved, left; /* messages */
	char text[1001]; /* of the last CONTROL_DONE */
};

/* Opens DIR (made, 0700, if make) alone, and the connection. Returns an exit status, with one line printed. */
int move_open(struct move *m, struct tool *tool, const char *dir, bool make);
void move_close(struct move *m);

/* The conversation's next frame that belongs to it. -1 with err. */
int move_receive(struct move *m, struct ipc_frame *frame, struct error *err);

/* Begins a conversation. args: lines; the directory is added. */
int move_ask(struct move *m, const char *verb, struct span args, struct error *err);

/* The same with all of the answer: lines appended to rows. Returns queue's status, or -1 with err. */
int move_ask_all(struct move *m, const char *verb, struct span args, struct buf *rows, struct error *err);

/* "id=ID" lines of so many ids, in several questions. */
int move_each(struct move *m, const char *verb, const char *const *ids, size_t count, struct error *err);

int move_lost(struct move *m, const struct error *err);

#endif
