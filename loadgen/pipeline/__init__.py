"""Producer, consumer and dashboard in one command: `loadgen pipeline`.

In: settings. Out: an exit code. `prepare` checks everything first; `pipeline` runs the three parts, each a `child`
process; `ending` drains and verifies; `console` shows the progress.
"""

from contextlib import ExitStack

from loadgen.config import PipelineSettings


def main(settings: PipelineSettings) -> int:
    """Run to the end and print the result.

    Returns:
        The exit code: 0 if every event sent is stored once, 1 if not; after a signal, see `loadgen.signals`.

    Raises:
        LoadgenError: the pipeline could not start.
    """
    from loadgen.pipeline.console import PipelineConsole
    from loadgen.pipeline.pipeline import Pipeline
    from loadgen.pipeline.prepare import prepare

    console = PipelineConsole(settings)
    with ExitStack() as stack:
        address = None
        if settings.embedded:
            from loadgen.kafka.embedded import EmbeddedBroker

            address = stack.enter_context(EmbeddedBroker(settings.topic)).address
        context = prepare(settings, address, console.note)
        console.start(context)
        return Pipeline(settings, context, console).run()
