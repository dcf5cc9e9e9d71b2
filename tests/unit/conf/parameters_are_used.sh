#!/bin/sh
# Every parameter of params.def does something: some source reads it by its field or its name, or another
# parameter's default refers to it. A row without a use belongs in unsupported.def.
top=${srcdir:-.}

# What nothing needs to read, each with its reason.
#   queue_run_delay: mail that came due is tried at once, which is never later than asked
#   stress: $stress of the values themselves
#   transport_services: taken apart by transports.c of common/conf itself
#   mynetworks_style: computed.c works mynetworks out of it
#   compatibility_level: what other parameters' values ask for
excused='compatibility_level mynetworks_style queue_run_delay stress transport_services'

# common/conf itself only parses and checks.
sources=$(find "$top/common" "$top/smtpd" "$top/queue" "$top/delivery" "$top/services" "$top/tools" \
    \( -name '*.c' -o -name '*.h' \) ! -path '*/common/conf/*')
[ -n "$sources" ] || exit 99
words=$(mktemp) || exit 99
trap 'rm -f "$words"' EXIT
{
	# v->name, v.name, "name", offsetof(struct conf_values, name)
	# shellcheck disable=SC2086
	cat $sources | grep -oE '(->|\.|"|conf_values, )[a-z_][A-Za-z0-9_]*' | sed -E 's/^(->|\.|"|conf_values, )//'
	# $name in a default
	grep -oE '\$[a-z][a-z0-9_]*|\$\{[a-z][a-z0-9_]*' "$top/common/conf/params.def" | tr -d '${'
} | sort -u >"$words"

status=0
rows=0
for row in $(sed -nE 's/^(BOOL|INT|SIZE|TIME|ENUM|TEXT|RAW)\(([A-Za-z0-9_]+),.*/\2/p' "$top/common/conf/params.def"); do
	rows=$((rows + 1))
	case " $excused " in *" $row "*) continue ;; esac
	case $row in default_destination_* | default_transport_rate_delay) name=${row#default_} ;; *) name=$row ;; esac
	if ! grep -qxF "$name" "$words" && ! grep -qxF "$row" "$words"; then
		echo "$row: parsed and ignored"
		status=1
	fi
done
[ "$rows" -gt 100 ] || { echo "only $rows rows were found"; exit 99; }
exit $status
