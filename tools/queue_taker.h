/*
 * queue_taker: which instance takes the messages out of a directory of exported ones. Its name is in the file "importing" there
 * from before the first one is taken until the last one's file is renamed: of an import that was interrupted there may be
 * messages in its queue whose files another instance would take, too, and both would send them.
 */
#ifndef POSTERN_TOOLS_QUEUE_TAKER_H
#define POSTERN_TOOLS_QUEUE_TAKER_H

#include "tools/queue_move.h"

/* Durably. Returns an exit status, with one line printed: EX_TEMPFAIL if another instance has not ended there. */
int queue_taker_begin(struct move *m);

/* Everything that was taken is renamed. */
void queue_taker_end(struct move *m);

#endif
