#include "services/resolver/hosts.h"

#include <arpa/inet.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/table.h"
#include "common/dns/dns.h"
#include "services/resolver/name.h"

/* One pair of name and address; those of a name hang together. */
struct host {
	struct host *next;
	size_t len;
	uint8_t octets[16];
};

struct hosts_file {
	struct table *by_name; /* struct host */
	struct table *by_address; /* char */
	size_t count;
};

static void
free_host(void *value)
{
	struct host *host = value;

	while (host) {
		struct host *next = host->next;

		free(host);
		host = next;
	}
}

static size_t
parse_address(struct span word, uint8_t octets[16])
{
	char text[64];

	if (!span_copy(word, text, sizeof(text)))
		return 0;
	if (inet_pton(AF_INET, text, octets) == 1)
		return 4;
	return inet_pton(AF_INET6, text, octets) == 1 ? 16 : 0;
}

static void
add_host(struct hosts_file *h, const char *name, const uint8_t *octets, size_t len)
{
	struct host *host = mem_alloc(sizeof(*host)), *first = table_get(h->by_name, span_of(name));

	host->len = len;
	memcpy(host->octets, octets, len);
	h->count++;
	if (!first) {
		if (table_put(h->by_name, span_of(name), host) < 0)
			free(host);
		return;
	}
	while (first->next)
		first = first->next;
	first->next = host;
}

static void
read_line(struct hosts_file *h, struct span line)
{
	ptrdiff_t comment = span_find(line, '#');
	struct span word;
	uint8_t octets[16];
	char name[NAME_SIZE];
	size_t len;

	if (comment >= 0)
		line.len = (size_t)comment;
	if (!span_next_word(&line, " \t\r", &word))
		return;
	len = parse_address(word, octets);
	if (len == 0)
		return;
	while (span_next_word(&line, " \t\r", &word) && h->count < HOSTS_NAMES_MAX) {
		if (!name_clean(word, name) || !name_is_host(span_of(name)))
			continue;
		add_host(h, name, octets, len);
		if (!table_get(h->by_address, span_make(octets, len)))
			table_put(h->by_address, span_make(octets, len), mem_strdup(name));
	}
}

struct hosts_file *
hosts_file_parse(struct span text)
{
	struct hosts_file *h = mem_alloc(sizeof(*h));
	struct span line;

	h->by_name = table_new(HOSTS_NAMES_MAX, free_host);
	h->by_address = table_new(HOSTS_NAMES_MAX, free);
	while (span_next_line(&text, &line))
		read_line(h, line);
	return h;
}

void
hosts_file_free(struct hosts_file **h)
{
	if (!*h)
		return;
	table_free(&(*h)->by_name);
	table_free(&(*h)->by_address);
	free(*h);
	*h = NULL;
}

size_t
hosts_file_addresses(const struct hosts_file *h, struct span name, uint16_t type, struct buf *records)
{
	size_t len = type == DNS_TYPE_A ? 4 : type == DNS_TYPE_AAAA ? 16 : 0, count = 0;
	const struct host *host = h ? table_get(h->by_name, name) : NULL;

	for (; host && count < DNS_RECORDS_MAX; host = host->next) {
		struct dns_record record = {.type = type, .data = span_make(host->octets, host->len)};

		if (host->len == len && dns_record_pack(records, &record) == 0)
			count++;
	}
	return count;
}

const char *
hosts_file_name(const struct hosts_file *h, const uint8_t *octets, size_t len)
{
	return h ? table_get(h->by_address, span_make(octets, len)) : NULL;
}
