#!/bin/sh
# Each role closes its own sandbox and shows that what it has no need for is refused. As root the users of
# 'postern setup' are needed; an ordinary user sees all but user and chroot.
dir=$(mktemp -d) || exit 99
trap 'rm -rf "$dir"' EXIT
mkdir -p "$dir/empty" "$dir/maildrop" "$dir/spool"
chmod 755 "$dir" "$dir/empty"
status=77
for program in services/log/log services/resolver/resolver services/lookup/lookup services/policy/policy services/keys/keys \
	services/auth/auth services/pickup/pickup smtpd/smtpd queue/queue delivery/smtp/delivery delivery/local/local; do
	[ -x "./$program" ] || continue
	out=$("./$program" --prove-sandbox "$dir" 2>&1)
	result=$?
	case $out in
	*"postern setup"*)
		echo "SKIP $program: $out" | head -1
		continue
		;;
	esac
	[ $result -eq 77 ] && continue
	[ $status -eq 77 ] && status=0
	if [ $result -ne 0 ]; then
		echo "$out" | grep -v ': refused$'
		echo "FAIL $program: status $result"
		status=1
	else
		echo "PASS $program"
	fi
done
exit $status
