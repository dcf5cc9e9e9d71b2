/*
 * client_meter: how much a server may answer to one question, and until when, for client libraries that read without a
 * limit of their own.
 *
 * libpq takes a row whole before it shows any of it, and believes what the server says of its length; libmariadb waits
 * anew for each piece that comes. Both read by recv(2), libpq with TLS too. So this file defines recv(): libraries that
 * are loaded later find it before the C library's. While no meter runs in the calling thread it is what it always was.
 */
#ifndef POSTERN_MAP_CLIENT_METER_H
#define POSTERN_MAP_CLIENT_METER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * From now on this thread receives no more than so many octets, and none after the deadline (monotonic clock); then each
 * recv() is at the end of the stream.
 */
void client_meter_begin(size_t octets, int64_t deadline_us);
void client_meter_end(void);

/* Whether a recv() since the beginning was refused because all octets were used up. */
bool client_meter_refused(void);

#endif
