/*
 * care: reads a spool from outside the queue process, for the tools that check and copy it.
 */
#ifndef POSTERN_QUEUE_CARE_H
#define POSTERN_QUEUE_CARE_H

#include "queue/log/replay.h"
#include "queue/queue.h"

struct care {
	struct queue q; /* only its segments and directories are used */
	bool gently; /* mail is flowing: the disk is not ours alone */
	bool quiet; /* damage was told of already */
	uint64_t findings;
};

/* The segments below dir, oldest first. Nothing is changed, whatever they are like. -1 with err. */
int care_open(struct care *c, int spool, struct error *err);
void care_close(struct care *c);

/* One finding, or a piece of progress. */
void care_finding(struct care *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
void care_progress(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* All that is in the queue by the log: row(row, context) for each. What is damaged is a finding each. */
typedef void care_row(struct care *c, const struct index_change *row, void *context);
struct replay *care_replay(struct care *c, care_row *row, void *context);

/* A message's file is there and has what its record says. */
bool care_file_is_whole(int files_dir, const struct index_change *row);

/* The two commands: exit status. */
int care_verify(struct care *c, int spool, bool running);
int care_backup(struct care *c, int spool, int to);

/*
 * The drop directory: rows of a listing; that file, or ALL, deleted, or those that match, and how many on standard output. filter:
 * as filter.h reads it, without states; "": all.
 */
int care_drops_list(int dir, const char *filter);
int care_drops_delete(int dir, const char *name);
int care_drops_delete_by(int dir, const char *filter);

#endif
