"""The widget in a viewer without a window: results are added, progress is shown, cancel works, nothing is fetched."""

import socket
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("napari", reason="the extra 'napari' is not installed")
pytest.importorskip("pytestqt", reason="pytest-qt is not installed")
pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)  # which says what library the system lacks

import napari
import torch
from napari.components import ViewerModel
from npe2 import PluginManifest
from tiny_stages import NETWORKS, tiny_network

from gpemsr.napari import widget as module
from gpemsr.napari.widget import FILE, SuperResolve

MANIFEST = Path(module.__file__).with_name("napari.yaml")


@pytest.fixture
def weights(tmp_path) -> Path:
    name, options = NETWORKS[3]
    metadata = {"key_names": "gpemsr", "network_g": {"type": name, "scale": 8, **options}}
    torch.save({"params": tiny_network(3).state_dict(), "metadata": metadata}, tmp_path / "net.pth")
    return tmp_path / "net.pth"


@pytest.fixture
def shown(qtbot, weights, monkeypatch):
    """The widget of a viewer with a stack, whose weights are a file; the network is out of reach."""

    def refuse(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    viewer = ViewerModel()
    stack = np.random.default_rng(0).integers(0, 255, (4, 20, 24), np.uint8)
    layer = viewer.add_image(stack, name="lr", scale=(40, 8, 8))
    widget = SuperResolve(viewer)
    qtbot.addWidget(widget.native)
    widget.image.choices = [layer]
    widget.image.value = layer
    widget.weights.value, widget.file.value = FILE, weights
    return viewer, widget


def test_results_are_added_and_progress_is_shown(shown, qtbot):
    viewer, widget = shown
    seen = []
    widget.bar.changed.connect(seen.append)
    widget.run()
    assert not widget.start.enabled and widget.cancel.enabled
    with qtbot.waitSignal(widget.worker.finished, timeout=60000):
        pass
    qtbot.waitUntil(lambda: widget.start.enabled)
    names = ("residual", "mask", "entropy", "confidence", "super-resolved")
    assert [layer.name for layer in viewer.layers] == ["lr", *(f"lr {name}" for name in names)]
    assert viewer.layers[-1].data[0].shape == (4, 160, 192)
    assert max(seen) == 4 and seen == [*sorted(seen[:-1]), 0]


def test_cancel_stops_and_leaves_nothing(shown, qtbot):
    viewer, widget = shown
    widget.run()
    worker = widget.worker
    worker.progress.connect(lambda *_: widget.cancel.clicked.emit(True))
    steps = []
    worker.progress.connect(lambda done, total: steps.append(done))
    with qtbot.waitSignal(worker.finished, timeout=60000):
        pass
    qtbot.waitUntil(lambda: widget.start.enabled)
    assert [layer.name for layer in viewer.layers] == ["lr"]
    assert len(steps) < 4
    assert not worker.job.folder.exists() and not worker.job.path.exists()


def test_wrong_input_is_a_notification(shown, monkeypatch):
    _, widget = shown
    said = []
    monkeypatch.setattr(module, "show_error", said.append)
    widget.file.value = Path("absent.pth")
    widget.run()
    assert widget.start.enabled and "absent.pth: no such file" in said[0]
    widget.file.line_edit.value = ""
    widget.run()
    assert widget.start.enabled and "no file is chosen" in said[1]


def test_napari_opens_it_for_its_viewer(qtbot):
    viewer = napari.Viewer(title="whose", show=False)
    _, widget = viewer.window.add_plugin_dock_widget("gpemsr")
    assert isinstance(widget, SuperResolve) and widget.viewer.title == "whose"
    viewer.close()


def test_the_manifest_names_the_widget():
    manifest = PluginManifest.from_file(MANIFEST)
    manifest.validate_imports()
    (contribution,) = manifest.contributions.widgets
    assert contribution.command == "gpemsr.super_resolve"
