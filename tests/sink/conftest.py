"""What tests of sinks share: on a busy machine, too, a topic is read back to its end."""

import pytest

from loadgen.sink import kafka, readback

PATIENT_S = 30.0


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give reading back as long as it needs: a partition that is not read in time leaves its events unfinished."""
    monkeypatch.setattr(kafka, "READ_BACK_S", PATIENT_S)
    monkeypatch.setattr(readback, "ASK_S", PATIENT_S)
