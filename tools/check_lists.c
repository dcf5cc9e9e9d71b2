#include "tools/check_lists.h"

#include <stdlib.h>
#include <string.h>

#include "common/map/lines.h"
#include "services/lookup/engine/domains.h"
#include "tools/check.h"

const struct map_options check_silent = {.complain = map_complain_to_nobody, .state = map_state_to_nobody};

static void
check_list(const char *parameter, const char *text, check_lists_tell *tell, void *context)
{
	struct map_set *maps = map_set_new(&check_silent);
	struct domains list;

	domains_init(&list, parameter, text, DOMAINS_EXACT, maps);
	if (list.trouble.text[0] != '\0')
		tell(parameter, &list.trouble, context);
	domains_fini(&list);
	map_set_free(&maps);
}

void
check_lists(const struct conf_values *v, check_lists_tell *tell, void *context)
{
	const struct {
		const char *parameter, *text;
	} lists[] = {
	    {"mydestination", v->mydestination},
	    {"relay_domains", v->relay_domains},
	    {"virtual_alias_domains", v->virtual_alias_domains},
	    {"virtual_mailbox_domains", v->virtual_mailbox_domains},
	    {"masquerade_exceptions", v->masquerade_exceptions},
	    {"authorized_submit_users", v->authorized_submit_users},
	};
	struct error err = {0};
	size_t len;

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		check_list(lists[i].parameter, lists[i].text, tell, context);
	/* lookup would take myhostname in its place. */
	if (v->myorigin[0] == '/') {
		char *bytes = lines_load(v->myorigin, LINES_FILE_MAX, &len, &err);
		if (bytes == NULL)
			tell("myorigin", &err, context);
		free(bytes);
	}
}
