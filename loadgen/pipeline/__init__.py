"""Producer, consumer and dashboard as one: `loadgen pipeline`.

`prepare` checks everything first; `parts` says what each part is told; a `child` is its process, `tied` to this one;
the `supervisor` keeps it alive; `pipeline` sees to all three and `ending` to their end, by `offsets` and `manifests`;
`figures` and `screen` say how it goes.
"""

from contextlib import ExitStack

from loadgen.config import PipelineSettings


def main(settings: PipelineSettings) -> int:
    """Run to the end and say how it went.

    Args:
        settings: complete and valid.

    Returns:
        The exit code: 0 every event sent is stored once, 1 not, stopped and stored: see
        `loadgen.signals`.

    Raises:
        LoadgenError: the pipeline could not start.
    """
    from loadgen.pipeline.pipeline import Pipeline
    from loadgen.pipeline.prepare import prepare
    from loadgen.pipeline.screen import Screen

    screen = Screen(settings)
    with ExitStack() as stack:
        address = None
        if settings.embedded:
            from loadgen.kafka.embedded import EmbeddedBroker

            address = stack.enter_context(EmbeddedBroker(settings.topic)).address
        ground = prepare(settings, address, screen.note)
        screen.ground(ground)
        return Pipeline(settings, ground, screen).run()
