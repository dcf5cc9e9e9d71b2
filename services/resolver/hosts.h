/*
 * hosts: /etc/hosts (hosts(5)), bounded.
 */
#ifndef POSTERN_RESOLVER_HOSTS_H
#define POSTERN_RESOLVER_HOSTS_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/span.h"

struct hosts_file;

enum { HOSTS_NAMES_MAX = 20000 };

/* text: the whole file. Lines that make no sense are passed over. */
struct hosts_file *hosts_file_parse(struct span text);
void hosts_file_free(struct hosts_file **h);

/* Packs the addresses of that family (DNS_TYPE_A, DNS_TYPE_AAAA) as records. Returns how many; 0 also if h is NULL. */
size_t hosts_file_addresses(const struct hosts_file *h, struct span name, uint16_t type, struct buf *records);

/* The first name of that address (4 or 16 octets), NULL if there is none. */
const char *hosts_file_name(const struct hosts_file *h, const uint8_t *octets, size_t len);

#endif
