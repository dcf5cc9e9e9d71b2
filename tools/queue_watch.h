/*
 * queue_watch: a table that is drawn again and again, until q or an interrupt.
 */
#ifndef POSTERN_TOOLS_QUEUE_WATCH_H
#define POSTERN_TOOLS_QUEUE_WATCH_H

struct queue_watch {
	/* Prints it, at most so many rows and columns (0: no bound). Not 0: that ends it, and is the status. */
	int (*draw)(void *context, unsigned rows, unsigned columns);
	/* A key was pressed; may be NULL. */
	void (*key)(void *context, char key);
	const char *keys; /* the line below, for people */
	void *context;
	unsigned interval_ms;
};

/* Of the terminal that standard output is; 0: it is none. */
unsigned queue_watch_columns(void);

/* In a terminal the screen is drawn over, elsewhere one table follows another. Returns the status. */
int queue_watch(const struct queue_watch *w);

#endif
