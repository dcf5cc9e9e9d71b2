/*
 * host_names: this program as "resolver names HOST FAMILIES": one look-up for whoever opens listening sockets.
 */
#ifndef POSTERN_RESOLVER_HOST_NAMES_H
#define POSTERN_RESOLVER_HOST_NAMES_H

/* families: "4", "6" or "46". Writes a struct name_answer (services/master/names.h) to NAMES_FD. The exit status. */
int host_names_main(const char *host, const char *families);

#endif
