"""The widget: what to super-resolve, with which weights; progress and cancel."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magicgui.widgets import CheckBox, ComboBox, Container, FileEdit, ProgressBar, PushButton, create_widget
from napari.layers import Image, Layer, Shapes
from napari.qt.threading import WorkerBase, WorkerBaseSignals
from napari.utils.notifications import show_error
from qtpy.QtCore import Signal

from gpemsr.checkpoints.shipped import SHIPPED, weights_file
from gpemsr.errors import InputError
from gpemsr.files import remove
from gpemsr.napari.layers import Part
from gpemsr.volume.perform import super_resolve
from gpemsr.volume.plan import Job
from gpemsr.volume.run import Run, Task

if TYPE_CHECKING:
    from napari.viewer import Viewer

FILE = "from a file"


class Cancelled(Exception):
    """The user does not want the result any more."""


class Signals(WorkerBaseSignals):
    """Those of a worker, and how far it is: steps done, steps."""

    progress = Signal(int, int)


class Worker(WorkerBase):
    """Does a job in a thread; :meth:`quit` cancels it after the section that it is at."""

    def __init__(self, job: Job) -> None:
        super().__init__(SignalsClass=Signals)
        self.job = job

    def work(self) -> Path | None:
        """The super-resolved image, None if cancelled; then nothing is left of it."""
        try:
            super_resolve(self.job, execute=self.execute)
        except Cancelled:
            remove(self.job.folder)
            return None
        return self.job.path

    def execute(
        self, run: Run, tasks: Sequence[Task], advance: Callable[[], object]
    ) -> Iterator[tuple[Task, Exception | None]]:
        """Do tasks one after the other, and say how far they are."""
        done, total = 0, sum(map(run.steps, tasks))

        def step() -> None:
            nonlocal done
            done += 1
            self.signals.progress.emit(done, total)
            if self.abort_requested:
                raise Cancelled

        for task in tasks:
            run.do(task, step)
            yield task, None


class SuperResolve(Container):
    """Super-resolves an image layer of napari, or the part of it inside a rectangle of a Shapes layer.

    Args:
        napari_viewer: whose layers are offered, and to which the results are added; napari passes it by this name.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        self.viewer = napari_viewer
        self.image: Any = create_widget(annotation=Image, label="LR stack")
        self.shapes: Any = create_widget(annotation=Shapes | None, label="region")
        self.weights = ComboBox(choices=[*SHIPPED, FILE], label="weights")
        self.file = FileEdit(label="file", filter="*.pth *.safetensors", visible=False)
        self.trust = CheckBox(text="trust layers", value=True)
        self.consistent = CheckBox(text="consistent with the LR stack")
        self.start = PushButton(text="Super-resolve")
        self.cancel = PushButton(text="Cancel", enabled=False)
        self.bar = ProgressBar(min=0, max=1, value=0)
        widgets = (self.image, self.shapes, self.weights, self.file, self.trust, self.consistent)
        super().__init__(widgets=[*widgets, self.start, self.cancel, self.bar])
        self.folder = tempfile.TemporaryDirectory(prefix="gpemsr-")  # of the results, as long as the widget is there
        self.worker: Worker | None = None
        self.weights.changed.connect(lambda name: setattr(self.file, "visible", name == FILE))
        self.start.clicked.connect(self.run)
        self.cancel.clicked.connect(lambda: self.worker is not None and self.worker.quit())

    def run(self) -> None:
        """Begin; what is wrong with the input is shown as a notification."""
        try:
            weights = self.chosen_weights()
            part = Part.of(self.image.value, self.shapes.value)
            folder = Path(tempfile.mkdtemp(dir=self.folder.name))
            trust = "basic" if self.trust.value else None
            job = part.job(folder, weights=str(weights_file(weights)), trust=trust, consistent=self.consistent.value)
        except InputError as error:
            show_error(str(error))
            return
        self.worker = worker = Worker(job)
        worker.progress.connect(self.show_progress)
        worker.returned.connect(lambda output: self.add(part, output))
        worker.errored.connect(lambda error: show_error(str(error)))
        worker.finished.connect(self.reset)
        self.start.enabled, self.cancel.enabled = False, True
        worker.start()

    def chosen_weights(self) -> str:
        """A network that comes with the package, or a checkpoint's path; InputError if none is chosen."""
        if self.weights.value != FILE:
            return self.weights.value
        if self.file.value == Path():  # of an empty line
            raise InputError("no file is chosen; expected a checkpoint")
        return str(self.file.value)

    def show_progress(self, done: int, total: int) -> None:
        """Let the bar say how far it is."""
        self.bar.max, self.bar.value = total, done

    def add(self, part: Part, output: Path) -> None:
        """Add the results of a part to the viewer, the image on top."""
        for layer in reversed(part.results(output)):
            self.viewer.add_layer(Layer.create(*layer))

    def reset(self) -> None:
        """Be ready for the next one."""
        self.start.enabled, self.cancel.enabled = True, False
        self.bar.value = 0
