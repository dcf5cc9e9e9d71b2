/*
 * base: the host that tests of the address engine are about; rows add lines to its configuration.
 */
#ifndef POSTERN_TESTS_UNIT_LOOKUP_BASE_H
#define POSTERN_TESTS_UNIT_LOOKUP_BASE_H

#define BASE                                                                                                 \
	"myhostname = mx.example.com\n"                                                                      \
	"mydestination = example.com, localhost, !not.example.com, mx.example.com\n"                         \
	"local_recipient_maps = inline:{joe=1, jane=1, {j.d=1}, {\"a b\"=1}}\n"                              \
	"inet_interfaces = 192.0.2.1, 2001:db8::1\n"                                                         \
	"virtual_alias_maps =\n"                                                                             \
	"alias_maps =\n"                                                                                     \
	"recipient_delimiter = +\n"

#endif
