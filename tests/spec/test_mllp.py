"""What listening promises: acknowledged is kept, kept is loaded once, and the order of arrival has no say.

Few messages and kills here; `python -m tests.mllp_crash` sends and kills many.
"""

from __future__ import annotations

import random
from pathlib import Path

from tests import mllp_crash
from tests.ports import free_port
from tests.spec import site_kit as kit
from tests.spec.test_loading import _STORY


def test_killed_while_receiving() -> None:
    """`run` proves that each message is there once; how soon depends on the machine, and is only told."""
    found = mllp_crash.run(messages=90, connections=3, kills=2, every=0.4, rate=25.0, warm=True)
    assert found.kills == 2 and found.batches
    print(f"from acknowledgement to searchable: p95 {found.delay(95):.1f} s")


def test_out_of_order_over_several_connections_gives_the_same_stays(tmp_path: Path) -> None:
    """Admission, transfer, its cancellation, end, its cancellation, results, a correction and a merge, last ones first."""
    plain = kit.make(tmp_path / "plain")
    kit.load(plain, "hl7v2", kit.write_messages(tmp_path / "all.hl7", *_STORY))
    site = kit.make(tmp_path / "site")
    port = free_port()
    service = mllp_crash.Service(site.directory, port, 0.3, warm=True)
    service.start()
    story = list(_STORY)
    random.Random(7).shuffle(story)
    connections = [mllp_crash.Connection(port) for _ in range(3)]
    for number, message in enumerate(story):
        assert b"MSA|AA|" in connections[number % 3].deliver(message.encode())
        if number == len(story) // 2:
            connections[0].deliver(message.encode())  # sent again by a sender that missed the answer
    assert service.stop() == 0  # what was acknowledged before the end is loaded
    assert kit.findings(site) == []
    assert kit.digest(site) == kit.digest(plain)
    assert kit.rows(site, "select sum(read)::int, sum(superseded)::int from raw_load")[0][0] == len(story) + 1
    assert "DUPRAT" not in service.log()


def test_a_busy_site_is_waited_for(tmp_path: Path) -> None:
    """Another load holds the site: messages go on being acknowledged, and are loaded when it ends."""
    from estran.app import open_site
    from estran.sources.mllp import Feeder, Spool
    from estran.sources.pipeline.run import ingest

    site, said = kit.make(tmp_path / "site"), []
    spool = Spool(tmp_path / "spool", bytes(32))

    def load(files: list[Path]):
        with open_site(site.directory).loading() as parts:
            return ingest(parts, "hl7v2", files, name="mllp")

    feeder = Feeder(spool, load, 0.1, said.append)
    spool.keep([_STORY[0].encode()])
    with site.warehouse.writer():
        assert not feeder.step()
    assert feeder.step() and spool.waiting() == []
    assert said == ["Another process is writing to this warehouse. The messages wait in the spool and are tried again."]
    assert kit.rows(site, "select source, read, loaded from raw_load") == [("hl7v2/mllp", 1, 1)]
    spool.close()


def test_a_listener_lets_old_snapshots_go(tmp_path: Path) -> None:
    """Each micro-batch opens a database of its own: without waiting for a collection of cycles, few stay open."""
    import gc

    from estran.app import open_site
    from estran.cli.listen import _Desk
    from estran.sources.mllp import Spool
    from estran.warehouse import Snapshot

    site, spool = kit.make(tmp_path / "site"), Spool(tmp_path / "spool", bytes(32))
    desk = _Desk(open_site(site.directory), "mllp", spool, json=True)
    gc.collect()
    gc.disable()
    try:
        before = {id(item) for item in gc.get_objects() if isinstance(item, Snapshot)}
        for number in range(8):
            (tmp_path / f"{number}.hl7").write_bytes(mllp_crash.frame(mllp_crash.message(number)))
            desk.load([tmp_path / f"{number}.hl7"])
        opened = {item.version for item in gc.get_objects() if isinstance(item, Snapshot) and id(item) not in before}
    finally:
        gc.enable()
        spool.close()
    assert site.warehouse.latest() == 8 and opened <= {5, 6, 7, 8}
