"""Orders of events that are rare, and that mail must survive all the same."""
import os, signal, threading, time

from harness.instance import wait_until


def test_a_worker_ends_only_when_queue_has_heard_of_everything(make, peer):
    recipients = [f"r{n:04}@far.test" for n in range(2000)]
    release = threading.Event()

    def late(session, line, peer):
        release.wait(20)
        return "250 2.0.0 Ok: " + "x" * 400
    sink = peer(on={"DOT": late})
    instance = make({"relayhost": f"[127.0.0.1]:{sink.port}", "smtp_destination_recipient_limit": 2000, "smtpd_recipient_limit": 2000, "shutdown_grace": "20s"})
    instance.sendmail("-f", "s@here.test", *recipients, input="Subject: once\n\nx\n")
    assert wait_until(lambda: "DATA" in sink.commands)
    queue, worker = instance.pids("queue")[0], instance.pids("delivery")[0]
    stop = threading.Thread(target=instance.stop)
    os.kill(queue, signal.SIGSTOP)  # busy, as far as others can see
    try:
        stop.start()
        release.set()
        assert wait_until(lambda: len(sink.messages) == 1)
        time.sleep(0.5)
    finally:
        os.kill(queue, signal.SIGCONT)
    stop.join()
    instance.start()
    instance.wait_queue_empty()
    assert len(sink.messages) == 1 and not os.path.exists(f"/proc/{worker}")
