"""``hostpci doctor``: from lines of logs to causes, of this host, a capture or a file."""

from __future__ import annotations

from ...diagnose.engine import judge
from ...diagnose.knowledge import load
from ...diagnose.lines import messages
from ...diagnose.portrait import portrait
from ...diagnose.scan import Scan
from ...errors import Exit, UsageError
from ...model.codec import encode
from ...render.diagnoses import render_diagnoses
from ..context import Context

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...model.diagnosis import Diagnosis


def run(context: Context) -> int:
    """Ends with OK whatever was found: a diagnosis is an answer, not a failure."""
    args = context.args
    asked = [each for each in (args.line, args.log, args.host) if each is not None]
    if len(asked) > 1:
        raise UsageError("doctor-what")
    found, read = _diagnose(context)
    if args.json:
        shown = [{**encode(each), "see": load().faults[each.code].see} for each in found]
        context.json({"schema": "hostpci.doctor/1", "diagnoses": shown})
        return Exit.OK
    for line, level in render_diagnoses(found, read, load(), context.catalog):
        context.out(line, level)
    return Exit.OK


def _diagnose(context: Context) -> tuple[tuple[Diagnosis, ...], int]:
    """The diagnoses, and how many lines they rest on."""
    args = context.args
    if args.line is not None:
        scan = Scan(load())
        scan.feed(messages(args.line.splitlines()))
        return judge(scan), scan.total
    if args.log is not None:
        from ..logfile import scan_log

        scan = scan_log(args.log, context.tick)
        return judge(scan), scan.total
    from ...facts.logs import read_logs
    from ...facts.look import Look

    facts = context.facts_without_claims() if args.root else context.facts()
    scan = Scan(load(), is_part=True)
    for log in (*read_logs(Look(context.root()), context.runner()), *portrait(facts)):
        scan.feed(messages(log.lines, source=log.source))
    return judge(scan, facts), scan.total
