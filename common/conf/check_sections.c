/*
 * Sections are listeners: what only other processes read counts for the whole instance, wherever it stands.
 */
#include <fnmatch.h>

#include "common/conf/report.h"
#include "common/conf/schema.h"
#include "common/conf/values.h"

/* tests/unit/conf/section_names.sh: nobody reads these from a section. */
static const char *const global_only[] = {
    "alias_database",
    "allow_mail_to_*",
    "authorized_flush_users",
    "authorized_mailq_users",
    "bounce_*",
    "command_*",
    "confirm_delay_cleared",
    "daemon_directory",
    "data_directory",
    "default_destination_*",
    "default_privs",
    "default_transport*",
    "delay_warning_time",
    "deliver_lock_*",
    "delivery_workers",
    "dns_servers",
    "expand_owner_alias",
    "forward_path",
    "home_mailbox",
    "lmtp_*",
    "local_command_shell",
    "local_recipient_maps",
    "local_transport",
    "lookup_workers",
    "mail_spool_directory",
    "mailbox_*",
    "maillog_file",
    "maximal_*",
    "minimal_backoff_time",
    "mydestination",
    "propagate_unmatched_extensions",
    "proxy_interfaces",
    "qmgr_message_active_limit",
    "queue_directory",
    "queue_run_delay",
    "queue_sync",
    "recipient_bcc_maps",
    "relay_domains",
    "relay_recipient_maps",
    "relay_transport",
    "relayhost",
    "relocated_maps",
    "sender_dependent_*",
    "smtp_*",
    "smtpd_workers",
    "spool_*",
    "syslog_facility",
    "transport_maps",
    "transport_services",
    "virtual_*",
};

static bool
is_global(const char *name)
{
	if (param_of_transport(span_of(name)) != NULL)
		return true;
	for (size_t i = 0; i < sizeof(global_only) / sizeof(global_only[0]); i++)
		if (fnmatch(global_only[i], name, 0) == 0)
			return true;
	return false;
}

void
values_check_sections(struct source *s)
{
	for (size_t i = 1; i < s->scope_count; i++) {
		const struct scope *scope = &s->scopes[i];

		for (size_t k = 0; k < scope->count; k++) {
			const struct setting *setting = &scope->settings[k];

			/* Other values of the section may refer to it. */
			if (setting->used || !is_global(setting->name))
				continue;
			conf_report_add(s->report, 'w', s->file, setting->line,
			    "%s: counts for the whole instance: in section [%s] it changes nothing",
			    setting->name, scope->section);
		}
	}
}
