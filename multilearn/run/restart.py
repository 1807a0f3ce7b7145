"""What a script does when the job that started it starts it again after a failure: its runs resume by themselves.

The job says so in an environment variable, and each run that begins records it in its experiment.json.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from multilearn.environment_variables import JOB, read
from multilearn.run.experiment import earlier
from multilearn.run.resume import Resume
from multilearn.storage.layout import RunDirectory

__all__ = ["Attempt", "resumed"]


@dataclass(frozen=True)
class Attempt:
    """One attempt of a job: `job` is a name that no other job has, `attempt` one that no other attempt of it has."""

    job: str
    attempt: str

    def __str__(self) -> str:
        return f"{self.job} {self.attempt}"

    def environment(self) -> dict[str, str]:
        """The variable that makes a process take part in it."""
        return {JOB: str(self)}

    @classmethod
    def current(cls) -> Attempt | None:
        """The one that this process takes part in; None if no job started it."""
        text = read(JOB)
        return None if text is None else cls.of_text(text)

    @classmethod
    def of_text(cls, text: str) -> Attempt:
        """Of what was written as text."""
        job, _, attempt = text.partition(" ")
        return cls(job, attempt)


def resumed(resume: Resume | None, path: Path) -> Resume | None:
    """What a run in `path` resumes: the latest checkpoint, if an earlier attempt of the job was the last at work there,
    whatever the script says; else what it says."""
    own = Attempt.current()
    if own is None:
        return resume
    sessions, _ = earlier(RunDirectory(path).experiment)
    last = Attempt.of_text(sessions[-1].command or "") if sessions else None
    return Resume("latest") if last is not None and last.job == own.job and last != own else resume
