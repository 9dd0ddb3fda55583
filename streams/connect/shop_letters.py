"""Dead letters of what shops have sent or were asked for, read again once the cause is mended.

Its events have the ids that they would have had, so what counted already is known by its source and
id. What happened long before it is heard now is history, as with anything that comes late.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from schemas.dead_letters import DeadLetter, ShopResource
from schemas.events import Event
from schemas.records import OutRecord
from schemas.signing import RecordSigner
from schemas.wire import to_record
from streams.clock import Clock
from streams.connect.connection import ShopConnection
from streams.connect.connector import NewsOrigin, ShopConnector, ShopNews
from streams.connect.cursors import DIRECTORY
from streams.connect.facts import as_history, with_old_as_history
from streams.connect.kinds import connector_of
from streams.connect.news_sink import NewsSink
from streams.connect.polling import Beginnings
from streams.http.ingest.intake import Intake
from streams.log import Log
from streams.operate.dead_letter_resend import NotResent


class ShopLetters:
    """Reads letters by the connections as they are now. `stop` it."""

    def __init__(
        self,
        log: Log,
        connections: Callable[[], Sequence[ShopConnection]],
        *,
        clock: Clock,
        signer: Callable[[], RecordSigner],
        data_dir: Path,
    ) -> None:
        """`connections` is asked for at the first letter, `signer` at the first product."""
        self._connections = connections
        self._clock = clock
        self._data_dir = data_dir
        self._intake = Intake(log)
        self._sink = NewsSink(log, self._intake, clock=clock, signer=signer)
        self._connectors: dict[str, ShopConnector] = {}
        self._told: list[tuple[ShopConnector, ShopNews]] = []

    async def read(self, letter: DeadLetter, came: ShopResource) -> list[OutRecord]:
        """Return the events of a letter's resource, none of one that is passed over by now; its
        products are published. Raises Unreadable while it can't be understood, NotResent where its
        shop is not connected any more, and Failure."""
        connector, body = self._connector(came), letter.original.value or b""
        if came.resource:
            news: ShopNews | None = await connector.read_again(
                came.resource, body, time=letter.time, history=came.history
            )
        else:
            news = await connector.receive_again(came.topic, body, time=letter.time)
        if news is None:
            return []
        if news.unread:
            raise news.unread[0].why
        if news.products or news.gone:
            fed = ShopNews(products=news.products, gone=news.gone, complete=news.complete)
            await self._sink.take(fed, NewsOrigin(came.connection, came.source))
        self._told.append((connector, news))
        return [to_record(each) for each in self._dated(connector, news, history=came.history)]

    def heard(self) -> None:
        """Note what is durable by now: all that was read. Raises Failure."""
        for connector, news in self._told:
            connector.heard(news)
        self._told.clear()

    async def stop(self) -> None:
        """Hang up. Safe to call twice."""
        await self._sink.stop()
        await self._intake.stop()
        for each in self._connectors.values():
            await each.close()

    def _connector(self, came: ShopResource) -> ShopConnector:
        name = came.connection
        if name not in self._connectors:
            named = [each for each in self._connections() if each.name == name]
            if not named:
                raise NotResent(f"no connection {name} is in connections.yaml any more")
            self._connectors[name] = connector_of(named[0], self._clock)
            self._connectors[name].keep_in(self._data_dir / DIRECTORY)
        if self._connectors[name].source != came.source:
            raise NotResent(
                f"{name} is the connection of another shop by now: it was {came.source}"
            )
        return self._connectors[name]

    def _dated(self, connector: ShopConnector, news: ShopNews, *, history: bool) -> Sequence[Event]:
        if history:
            return as_history(news.events)
        since, name = connector.connection.live_since, connector.connection.name
        began = Beginnings(self._data_dir, self._clock).of(name) if since is None else since
        return with_old_as_history(
            news.events, now=self._clock.now(), began=began, became=news.became
        )
