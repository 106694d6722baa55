# What a run says on the screen: short reasons, and at the very end what failed and what to do.
import atexit
import logging

from snakemake.logging import logger
from snakemake_interface_logger_plugins.common import LogEvent

LONGEST_REASON = 200
FAILED = {}


def last_words(log):
    """The message of a job in its log: its last error, or else its last lines."""
    path = Path(log)
    text = path.read_text(errors="replace") if path.exists() else ""
    lines = [line for line in text.splitlines() if line.strip()]
    starts = [k for k, line in enumerate(lines) if re.match(r"ngpipe \w+: ", line)]
    if starts:
        return "\n".join(lines[starts[-1] :])
    if not lines:
        return (
            "it said nothing. Was it killed? Then ask for more memory (mem_mb) or time (runtime),"
            " or use fewer frames or neurons"
        )
    return "\n".join(lines[-12:])


def overheard(record):
    """Filter of Snakemake's messages: cuts reasons short, remembers failures until the end."""
    event = getattr(record, "event", None)
    if event == LogEvent.JOB_INFO and len(str(record.reason)) > LONGEST_REASON:
        record.reason = f"{str(record.reason)[:LONGEST_REASON].rpartition(' ')[0]} ..."
    elif event == LogEvent.JOB_ERROR:
        FAILED[record.jobid] = (record.rule_name, list(record.log))
    elif event == LogEvent.JOB_FINISHED:
        FAILED.pop(record.job_id, None)
    return True


def tell_failures():
    """What failed and what to do, after everything else that Snakemake has to say."""
    for rule, logs in FAILED.values():
        words = "\n".join(map(last_words, logs[:1]))
        sys.stderr.write(f"\nFAILED: {rule} ({', '.join(logs)})\n{words}\n")
    if FAILED:
        sys.stderr.write(
            "Mend this and run the same command again: what is done stays.\n"
        )


if workflow.is_main_process:
    logger.addFilter(overheard)
    atexit.register(tell_failures)
