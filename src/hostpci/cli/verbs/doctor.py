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
    from ...render.diagnoses import Source


def run(context: Context) -> int:
    """Ends with OK whatever was found: a diagnosis is an answer, not a failure."""
    args = context.args
    asked = [each for each in (args.line, args.log, args.host) if each is not None]
    if len(asked) > 1:
        raise UsageError("doctor-what")
    found, read, sources = _diagnose(context)
    if args.json:
        shown = [{**encode(each), "see": load().faults[each.code].see} for each in found]
        context.json({"schema": "hostpci.doctor/1", "diagnoses": shown})
        return Exit.OK
    context.prose(render_diagnoses(found, read, load(), context.catalog, sources))
    return Exit.OK


def _diagnose(context: Context) -> tuple[tuple[Diagnosis, ...], int, tuple[Source, ...]]:
    """The diagnoses, how many lines they rest on, and which logs of a host those are of."""
    args = context.args
    if args.line is not None:
        scan = Scan(load())
        scan.feed(messages(args.line.splitlines()))
        return judge(scan), scan.total, ()
    if args.log is not None:
        from ..logfile import scan_log

        scan = scan_log(args.log, context.tick)
        return judge(scan), scan.total, ()
    from ...facts.logs import read_logs
    from ...facts.look import Look

    facts = context.facts_without_claims() if args.root else context.facts()
    scan = Scan(load(), is_part=True)
    logs = (*read_logs(Look(context.root()), context.runner()), *portrait(facts))
    for log in logs:
        scan.feed(messages(log.lines, source=log.source))
    read = tuple((log.source, len(log.lines)) for log in logs if log.lines)
    return judge(scan, facts), scan.total, read
