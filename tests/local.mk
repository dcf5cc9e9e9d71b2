EXTRA_DIST += tests/fuzz/corpus tests/support tests/system

# By name: a directory would bring along what is built in it (make_spool, load, slow_disk).
EXTRA_DIST += \
	tests/bench/bulk_actions tests/bench/compare tests/bench/disk tests/bench/fresh.py tests/bench/growth tests/bench/instance.py tests/bench/load.c \
	tests/bench/mailboxes tests/bench/plot.py tests/bench/profile tests/bench/queue_queries \
	tests/bench/slow_disk.c tests/bench/space tests/bench/tables tests/bench/tls tests/bench/tls_load.c

dist-hook:
	find $(distdir)/tests -name __pycache__ -type d -prune -exec rm -rf {} +
