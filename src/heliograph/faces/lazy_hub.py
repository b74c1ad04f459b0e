"""The hub of a synchronous application, created when it is first needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..brokers.sqlite.private_files import make_folder
from ..errors import BrokerUnavailableError, ConfigError
from ..hub import HubThread
from ..servers.recycling import recycled_after
from .creation_lock import creation_lock
from .settings import URL_KEY

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ..hub import StreamHub
    from ..servers.advice import Advice
    from .config_watch import ConfigWatch
    from .settings import Settings

__all__ = ["LazyHub"]


class LazyHub:
    """
    The hub of one application, and its settings.

    Args:
        read_settings: Returns the settings of the application, or raises
            :exc:`~heliograph.ConfigError`. Called now, so that mistakes are reported at
            start; and again before the hub is created, because tests and factories
            configure an application after they have registered its parts.
        advice: Logs a warning if a fork is going to stop the hub.
        watch: Watches the keys from which the settings are read.

    Attributes:
        settings: The settings that were read last: from :attr:`hub` on, those of the hub.
    """

    def __init__(
        self, read_settings: Callable[[], Settings], advice: Advice, watch: ConfigWatch
    ) -> None:
        self._read_settings = read_settings
        self._advice = advice
        self._watch = watch
        self._hub: StreamHub | None = None
        self.settings = read_settings()

    @property
    def hub(self) -> StreamHub:
        """
        The hub, created when it is first needed.

        Raises:
            ConfigError: The settings have become invalid.
            BrokerUnavailableError: The folder of the embedded log cannot be made.
        """
        hub = self._hub
        if hub is not None:
            return hub
        with creation_lock:
            if self._hub is None:
                self._advice.about_forks()
                self._watch.note()
                settings = self._read_settings()
                if settings.folder is not None:
                    _make_folder(settings.folder)
                hub = HubThread(settings.url, settings.hub, recycled_after=recycled_after)
                # A signal handler may have come here meanwhile, in the thread that holds
                # the lock.
                if self._hub is None:
                    self._hub, self.settings = hub, settings
            return self._hub

    def check_unchanged(self) -> None:
        """
        Check that the settings are those with which the hub was created.

        Raises:
            ConfigError: They are not, so what was changed would have no effect.
        """
        if self._hub is None or not self._watch.may_have_changed():
            return
        changed = self._watch.changed()
        settings = self._read_settings()
        if settings != self.settings:
            # Without a changed key, what a setting means depends on something else: a
            # relative file, on the folder.
            names = changed or self.settings.differences(settings)
            raise ConfigError(
                f"{name} was changed after its first use, which has no effect: set it"
                " before the first publish and the first stream; a test takes an"
                " application of its own"
                for name in names
            )
        self._watch.note()


def _make_folder(folder: Path) -> None:
    try:
        make_folder(folder)
    except OSError as error:
        raise BrokerUnavailableError(
            str(folder),
            f"cannot make the folder for the embedded log: {error.strerror};"
            f' set {URL_KEY} = "sqlite:///…" to a file in another folder',
        ) from error
