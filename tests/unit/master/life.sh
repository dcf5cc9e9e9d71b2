#!/bin/sh
# The life of an instance whose processes do nothing but live (idle_child), beside the real master and log: start,
# second start, death and crash loop of a child, reload, bad configuration, rotation of the log, a wedged child at the
# end, and that nothing is left. Runs as an ordinary user.
build=$(pwd)
dir=$(mktemp -d /tmp/postern-life-XXXXXX) || exit 99
as=
if [ "$(id -u)" -eq 0 ]; then
	as="setpriv --reuid=65534 --regid=65534 --clear-groups"
	$as test -x "$build/services/master/master" 2>/dev/null || { rm -rf "$dir"; exit 77; }
fi
master=
port=${POSTERN_TEST_PORT:-3140}
finish() {
	[ -n "$master" ] && kill -9 "$master" 2>/dev/null
	rm -rf "$dir"
}
trap finish EXIT

fail() {
	echo "FAIL: $*"
	echo "--- log:"
	cat "$dir/log/maillog" "$dir/out" 2>/dev/null | tail -40
	exit 1
}
log_has() { # within some seconds
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do
		grep -q -- "$1" "$dir/log/maillog" 2>/dev/null && return 0
		sleep 0.1
	done
	fail "the log has no '$1'"
}
child() { pgrep -P "$master" -x "$1" | head -1; }
count() { pgrep -P "$master" | wc -l; }

mkdir "$dir/libexec" "$dir/etc" "$dir/q" "$dir/log" "$dir/notify"
for role in smtpd queue delivery local pickup resolver lookup policy keys; do
	ln -s "$build/tests/unit/master/idle_child" "$dir/libexec/$role"
done
ln -s "$build/services/log/log" "$dir/libexec/log"
conf() { # myhostname, listen
	cat >"$dir/etc/postern.conf" <<-END
		queue_directory = $dir/q
		data_directory = $dir/d
		maillog_file = $dir/log/maillog
		daemon_directory = $dir/libexec
		smtpd_workers = 2
		delivery_workers = 1
		shutdown_grace = 1s
		myhostname = $1
		[smtp]
		listen = $2
	END
}
conf first.test "127.0.0.1:$port"
[ -n "$as" ] && chown -R 65534:65534 "$dir"

start() { # leaves the word of start in $word
	mkfifo -m 666 "$dir/fifo"
	$as "$build/services/master/master" -c "$dir/etc" -n 9 9>"$dir/fifo" >"$dir/out" 2>&1 &
	master=$!
	word=$(cat "$dir/fifo")
	rm -f "$dir/fifo"
}

start
[ "$word" = ok ] || fail "start said '$word'"
log_has 'postern/master\[[0-9]*\]: daemon started'
[ "$(count)" -eq 10 ] || fail "$(count) processes instead of 10"
[ "$(cat "$dir/q/pid/master.pid")" = "$master" ] || fail "pid file"

# A second one is refused, and the first goes on.
mkfifo -m 666 "$dir/fifo"
$as "$build/services/master/master" -c "$dir/etc" -n 9 9>"$dir/fifo" >/dev/null 2>&1 &
case $(cat "$dir/fifo") in
"error: Postern is already running: process $master") ;;
*) fail "a second start was not refused" ;;
esac
rm -f "$dir/fifo"

# A child that dies is replaced, and its peers are connected with the new one.
queue=$(child queue)
kill -9 "$queue"
log_has "queue pid $queue killed by signal 9"
log_has 'postern/queue\[[0-9]*\]: start index=0 incarnation=1 listeners=1'
log_has 'postern/smtpd\[[0-9]*\]: peer down queue 0'

# log's own death is told by its successor's first lines.
log=$(child log)
kill -9 "$log"
log_has "log pid $log killed by signal 9"

# One that dies again and again is waited for longer each time.
kill -9 "$(child lookup)"
sleep 0.4
kill -9 "$(child lookup)"
sleep 0.4
[ -z "$(child lookup)" ] || fail "no waiting in a crash loop"
log_has 'postern/lookup\[[0-9]*\]: start index=0 incarnation=2'

# Reload: everyone hears of it; a listener that goes is closed, a new one opened, one that stays is kept.
smtpd=$(child smtpd)
conf second.test "127.0.0.1:$port, 127.0.0.2:$port"
kill -HUP "$master"
log_has "smtpd\[$smtpd\]: configured generation=2 myhostname=second.test"
log_has "smtpd\[$smtpd\]: listener smtp 127.0.0.2:$port"
conf second.test "127.0.0.2:$port"
kill -HUP "$master"
log_has "smtpd\[$smtpd\]: listeners=1"

# A configuration that cannot be is refused.
conf third.test "127.0.0.2:nonsense"
kill -HUP "$master"
log_has 'reload refused, the old configuration goes on'
conf third.test "127.0.0.2:$port"
grep -q third.test "$dir/log/maillog" && fail "parts of a refused configuration were used"

# Files that change: who reads them is told of that one alone, once; what cannot be read is not sent again and again.
told() { # lines that tell of a file: so many come, and no more
	for _ in $(seq 100); do
		lines=$(grep -c "file $dir/authorities/$1" "$dir/log/maillog")
		[ "$lines" -ge "$2" ] && break
		sleep 0.1
	done
	[ "$lines" -eq "$2" ] || fail "$1: told $lines times instead of $2"
}
mkdir "$dir/authorities"
for file in servers clients key; do
	echo first >"$dir/authorities/$file"
done
chmod 000 "$dir/authorities/key"
[ -n "$as" ] && chown -R 65534:65534 "$dir/authorities"
cat >>"$dir/etc/postern.conf" <<-END
	smtpd_tls_CAfile = $dir/authorities/clients
	[submission]
	listen = 127.0.0.3:$port
	smtpd_tls_CAfile = $dir/authorities/clients
	smtpd_tls_cert_file = $dir/authorities/key
END
sed -i "1i smtp_tls_CAfile = $dir/authorities/servers" "$dir/etc/postern.conf"
kill -HUP "$master"
log_has 'postern/keys\[[0-9]*\]: start index=0'
log_has "delivery\[[0-9]*\]: file $dir/authorities/servers there"
told clients 2 # two workers; both listeners have it
echo second >"$dir/authorities/servers"
told servers 2
echo second >"$dir/authorities/clients"
told clients 4
sleep 5
told servers 2
told clients 4
told key 0
chmod 400 "$dir/authorities/key"
told key 1 # by the five-second look
conf third.test "127.0.0.2:$port"
kill -HUP "$master"
log_has 'keys is not needed any more'

# The log goes on in a new file after rotation, by itself.
mv "$dir/log/maillog" "$dir/log/maillog.1"
sleep 2.5
kill -9 "$(child policy)"
log_has 'policy pid'

# master is killed: its children go by themselves, and a new one takes over when they are gone.
killed=$master
kill -STOP "$(child lookup)"
wedged=$(child lookup)
kill -9 "$master"
(sleep 1; kill -CONT "$wedged") &
: >"$dir/log/maillog"
start
[ "$word" = ok ] || fail "after master was killed start said '$word'"
grep -q '^State:.*[RSDT] ' "/proc/$wedged/status" 2>/dev/null && fail "a child of the killed master lives beside the new ones"
log_has "master\[$master\]: daemon started"
[ "$killed" != "$master" ] || fail "the same process"

# Stop, with a child that does not answer: nothing is left.
kill -STOP "$(child resolver)"
kill "$master"
for _ in $(seq 100); do
	kill -0 "$master" 2>/dev/null || break
	sleep 0.1
done
kill -0 "$master" 2>/dev/null && fail "it did not stop"
pgrep -f "^(smtpd|queue|log|resolver) [0-9]$" -u 65534 >/dev/null && [ -n "$as" ] && fail "processes are left"
log_has 'resolver\[[0-9]*\] did not stop in time'
[ -e "$dir/q/private/master" ] && fail "the control socket is left"

# A process that cannot start: the reason is told, and nothing is left.
rm "$dir/libexec/queue"
start
case $word in
error:*queue*) ;;
*) fail "start without queue said '$word'" ;;
esac
wait "$master" && fail "a failed start has status 0"
master=
exit 0
