EXTRA_DIST += tests/fuzz/corpus tests/support tests/system tests/bench

dist-hook:
	find $(distdir)/tests -name __pycache__ -type d -prune -exec rm -rf {} +
