"""postern check: mistakes that only whoever knows what the words mean can see."""
import pytest


@pytest.fixture
def check(make):
    """check(settings, sections): what is said, and the instance, which does not run."""
    def run(settings, sections=None):
        instance = make(settings, start=False) if sections is None else make(settings, sections=sections, start=False)
        instance.write_config()
        done = instance.postern("check", check=False)
        return done.stdout + done.stderr, instance
    return run


def test_answers_of_access_tables(check, make):
    other = make(start=False)
    other.write_config()
    hashed, rules, plain = (other.home / name for name in ("hashed", "rules", "plain"))
    hashed.write_text("good.test OK\n# no\nbad.test REJET go\n  away\n192.0.2.1 450 4.7.1 later\n1.test 1089\nlist.test permit_mynetworks, check_sender_access inline:{x=OK}, reject\nclass.test ours\nnone.test nonsuch, reject\n")
    rules.write_text("/^a/ OKAY\n/^b(.*)/ REJECT $1\nif /x/\n/^c(.*)/ FILTER $1\n/^d/ FILTER smtp\nendif\n/^e(.*)/ $1\n/^f/ check_client_access\n")
    plain.write_text("p.test PREPEND nothing\np2.test prepend X-A: b\nr.test REDIRECT nobody\nb.test bcc a@here.test\n")
    for path in (hashed, rules, plain):
        path.chmod(0o644)
    other.postern("map", f"hash:{hashed}")
    said, _ = check({"smtpd_restriction_classes": "ours", "ours": f"check_helo_access texthash:{plain}, reject", "smtpd_sender_restrictions": f"check_sender_access hash:{hashed}, regexp:{rules}, check_sender_access hash:{hashed}",
                     "smtpd_client_restrictions": "check_client_access inline:{ { 127.0.0.1 = PERMITTED } }"})
    sender = "smtpd_sender_restrictions"
    for line in (f'{hashed}:3: {sender}: bad.test: "REJET go  away": neither an action nor a restriction\n', f'{hashed}:9: {sender}: none.test: "nonsuch, reject": neither an action', f'{rules}:1: {sender}: "OKAY": neither',
                 f'{rules}:5: {sender}: "FILTER smtp": without transport:destination', f'{rules}:8: {sender}: "check_client_access": a restriction without its table', f'{plain}:1: ours: p.test: "PREPEND nothing": with text that is no header field',
                 f'{plain}:3: ours: r.test: "REDIRECT nobody": without an address', 'smtpd_client_restrictions: 127.0.0.1: "PERMITTED": neither'):
        assert line in said, (line, said)
    assert sum(said.count(f"{path}:") for path in (hashed, rules, plain)) == 7, said
