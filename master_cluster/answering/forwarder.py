"""Shell. Asks other masters: at once for who requests, again and again for removals.

A request is forwarded in three steps: the intention is committed, the other master is
asked, the outcome is committed. Nothing is asked within a transaction. A crash between
two steps costs nothing: whoever asked asks again, and a removal is among those that the
loop below takes up. What the other master says to have changed meanwhile leads back to
the store, and the wish of now is asked, not the one that was refused.

The loop is the only one that retries. It takes removals that are not settled, a few at
a time, and gives a master that is away more and more time.
"""

from __future__ import annotations

from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall

from master_cluster.answering.desk import Desk
from master_cluster.forwarding import (
    ForwardedInstance,
    Masters,
    OtherMaster,
    Settled,
    forwarded_request,
)
from master_cluster.measuring import Measures
from master_cluster.store.callers import on_own_account, present_caller
from master_cluster.store.forwarding import drawn_master_id
from master_cluster.store.forwarding_decisions import (
    Outlook,
    Sending,
    finish_forward,
)
from runtime.http_client import ConnectionFailed, HttpClient
from runtime.logs import REQUEST_ID
from runtime.ports import Runtime
from slap import calls
from slap.errors import (
    BadRequest,
    Forbidden,
    MasterAway,
    NotFound,
    NotReady,
    OtherMasterAway,
    Overtaken,
    SlapError,
    Unavailable,
)
from slap.freshness import (
    CLAIM_HEADER,
    CLAIMED,
    EARLIEST,
    UNSEEN,
    freshness_headers,
    freshness_of,
)
from slap.model import RequestedInstance

FORWARD_SECONDS_MAX = 40.0
"""For the other master to answer: clients of ours give up after 60."""

FORWARDS_MAX = 200
"""At once; each holds a call of ours open, and the HTTP client sends 32 at a time."""

RESENDS_MAX = 10
"""When others change the same instance meanwhile, here or there; as clients of ours."""

BATCH_MAX = 20
"""Removals taken up in one round."""

ROUND_SECONDS = 30.0
"""Between two looks at what has to leave: another process may have left some."""

BATCH_SECONDS = 0.1

RETRY_SECONDS = 5.0
RETRY_SECONDS_MAX = 600.0
"""A master that is away for days is asked every ten minutes."""


class Forwarder:
    """The way to other masters."""

    def __init__(
        self, desk: Desk, runtime: Runtime, masters: Masters, measures: Measures
    ) -> None:
        self._desk = desk
        self._runtime = runtime
        self._masters = masters
        self._measures = measures
        self._client = HttpClient(runtime)
        self._asking: dict[tuple[str, str], int] = {}
        self._seen: dict[str, bytes] = {}
        self._exchanges: dict[Deferred[RequestedInstance | SlapError], None] = {}
        self._is_stopping = False
        self._is_wanted = False
        self._looping: Deferred[None] | None = None
        self._timer: IDelayedCall | None = None
        self._woken: Deferred[None] | None = None
        self._patience = _Patience(runtime)

    async def start(self) -> None:
        """Begin to take up removals, where there can be any."""
        is_empty = await self._desk.ask(lambda cloud: cloud.forwarding.is_empty())
        if self._masters.others or not is_empty:
            self._looping = Deferred.fromCoroutine(self._loop())

    async def stop(self) -> None:
        """Give up what is being asked: the intentions are written."""
        self._is_stopping = True
        for exchange in tuple(self._exchanges):
            exchange.cancel()
        self.wake()
        if self._looping is not None:
            await self._looping
        await self._client.close()

    def wake(self) -> None:
        """Look at once whether something has to leave."""
        self._is_wanted = True
        woken, self._woken = self._woken, None
        if woken is not None:
            if self._timer is not None and self._timer.active():
                self._timer.cancel()
            woken.callback(None)

    def look(self) -> Outlook:
        """What is known now: what is seen later may know a later intention."""
        others = self._masters.others
        return Outlook(
            masters=self._masters,
            drawn_id=drawn_master_id(self._runtime.entropy) if others else "",
            asking=frozenset(self._asking),
            seen=dict(self._seen),
            is_claiming=present_caller().is_claiming,
        )

    async def forward(self, sending: Sending) -> RequestedInstance:
        """Return what another master answers to an intention that is written.

        Raises what the other master refused, ``NotReady`` among it, and
        ``OtherMasterAway`` when it gives no answer.
        """
        if len(self._exchanges) >= FORWARDS_MAX:
            raise Unavailable(f"{FORWARDS_MAX} requests wait for other masters")
        outcome = await self._forward(sending)
        if isinstance(outcome, SlapError):
            raise outcome
        return outcome

    async def _forward(self, sending: Sending) -> RequestedInstance | SlapError:
        """Ask until nobody changed the instance meanwhile, and write the outcome."""
        for _ in range(RESENDS_MAX):
            sent = sending.record
            outcome = await self._ask(sending)
            seen = self._seen.get(sending.master.url, UNSEEN)
            settled = await self._finish(sent, outcome, seen)
            if not settled.is_overtaken or settled.record is None:
                break
            sending = evolve(sending, record=settled.record)
        if isinstance(outcome, Overtaken):
            return OtherMasterAway(f"{sent.title!r}: others were always faster")
        return outcome

    async def _finish(
        self,
        sent: ForwardedInstance,
        outcome: RequestedInstance | SlapError,
        seen: bytes,
    ) -> Settled:
        # The revision says who was later; whoever asked has not seen what we began.
        with on_own_account():
            return await self._desk.decide(
                lambda cloud, _: finish_forward(cloud, sent, outcome, seen)
            )

    async def _ask(self, sending: Sending) -> RequestedInstance | SlapError:
        if self._is_stopping:
            return OtherMasterAway("this master is stopping")
        record = sending.record
        key = (record.remote_title, record.software_release_url)
        self._asking[key] = self._asking.get(key, 0) + 1
        exchange = Deferred.fromCoroutine(self._exchange(sending))
        self._exchanges[exchange] = None
        try:
            outcome = await exchange
        except CancelledError:
            outcome = OtherMasterAway("this master is stopping")
        finally:
            self._exchanges.pop(exchange, None)
            self._asking[key] -= 1
            if not self._asking[key]:
                del self._asking[key]
        self._note(sending.master, outcome)
        return outcome

    async def _exchange(self, sending: Sending) -> RequestedInstance | SlapError:
        master, record = sending.master, sending.record
        wanted = forwarded_request(record, master, sending.hops)
        call = calls.request_instance(wanted)
        known = UNSEEN
        try:
            http = calls.encode_call(call)
            reply = await self._client.send(
                http.verb,
                f"{master.reached_at.rstrip('/')}/{http.path}",
                {**http.headers, **_trail(), **_standing(record)},
                http.body,
                timeout_seconds=FORWARD_SECONDS_MAX,
            )
            known = freshness_of(reply.headers)
            self._seen[master.url] = max(known, self._seen.get(master.url, UNSEEN))
            answer = calls.HttpAnswer(reply.status, reply.headers, reply.body)
            found = calls.decode_answer(call, answer)
        except ConnectionFailed as error:
            return OtherMasterAway(f"the master {master.url} is away: {error}")
        except Overtaken as error:
            # One that says nothing new means something else.
            return error if known > record.seen else _relayed(error, master)
        except SlapError as error:
            return _relayed(error, master)
        assert isinstance(found, RequestedInstance)
        return found

    def _note(
        self, master: OtherMaster, outcome: RequestedInstance | SlapError
    ) -> None:
        """Count an outcome, and let removals go on when a master is back."""
        if isinstance(outcome, OtherMasterAway):
            self._measures.forwards.add("away")
            if self._patience.fail(master.url):
                self._warn("{reason}", reason=outcome.sentence)
            return
        if not isinstance(outcome, SlapError):
            self._measures.forwards.add("answered")
        elif isinstance(outcome, Overtaken):
            self._measures.forwards.add("overtaken")
        else:
            is_waiting = isinstance(outcome, NotReady)
            self._measures.forwards.add("not_ready" if is_waiting else "refused")
        if self._patience.succeed(master.url):
            self._runtime.log.info("the master {url} answers again", url=master.url)
            self.wake()

    async def _loop(self) -> None:
        after = ""
        while not self._is_stopping:
            self._is_wanted = False
            try:
                after = await self._round(after)
            except MasterAway as error:  # our own store
                self._warn("removals wait: {why}", why=error.sentence)
            except Exception:  # noqa: BLE001 - the loop outlives a bug in one round
                self._runtime.log.failure("removals at other masters failed")
                after = ""
            if not self._is_stopping:
                seconds = BATCH_SECONDS if after else self._patience.pause_seconds()
                await self._sleep(min(seconds, ROUND_SECONDS))

    async def _round(self, after: str) -> str:
        """Take up some removals; returns where to go on, empty at the end."""
        name = drawn_master_id(self._runtime.entropy)
        leaving = await self._desk.ask(
            lambda cloud: cloud.forwarding.leaving(after, BATCH_MAX)
        )
        if not leaving:
            return ""
        master_id = await self._desk.decide(
            lambda cloud, _: cloud.forwarding.name(name)
        )
        for key, record in leaving.items():
            if not self._is_stopping:
                await self._let_leave(key, record, master_id)
        return key if len(leaving) == BATCH_MAX else ""

    async def _let_leave(
        self, key: str, record: ForwardedInstance, master_id: str
    ) -> None:
        master = self._masters.find(record.master_url)
        if master is None or not self._patience.may_try(master.url, key):
            return
        outcome = await self._forward(Sending(record, master, (master_id,)))
        is_kept = isinstance(outcome, SlapError)
        if is_kept and not isinstance(outcome, (NotFound, NotReady, OtherMasterAway)):
            if self._patience.fail(key):
                self._warn(
                    "{title} stays at {url}: {why}",
                    title=record.remote_title,
                    url=master.url,
                    why=str(outcome),
                )
        elif not isinstance(outcome, OtherMasterAway):
            self._patience.succeed(key)
            self._runtime.log.info(
                "{title} leaves {url}", title=record.remote_title, url=master.url
            )

    def _warn(self, sentence: str, **values: str) -> None:
        self._runtime.log.warn(sentence, **values)  # noqa: G010 - Twisted's name

    async def _sleep(self, seconds: float) -> None:
        if self._is_wanted:
            return
        self._woken = Deferred()
        self._timer = self._runtime.clock.callLater(seconds, self.wake)
        await self._woken


class _Patience:
    """When to try again what failed: a master, or one removal that is refused."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._failed: dict[str, tuple[int, float]] = {}

    def may_try(self, *names: str) -> bool:
        now = self._runtime.clock.seconds()
        return all(self._failed.get(it, (0, now))[1] <= now for it in names)

    def fail(self, name: str) -> bool:
        """Give it more time; whether this is the first failure in a row."""
        count, _ = self._failed.get(name, (0, 0.0))
        mean = min(RETRY_SECONDS * 2**count, RETRY_SECONDS_MAX)
        seconds = mean * self._runtime.entropy.uniform(0.75, 1.25)
        now = self._runtime.clock.seconds()
        self._failed[name] = (min(count + 1, 30), now + seconds)
        return count == 0

    def succeed(self, name: str) -> bool:
        """Forget its failures; whether there were any."""
        return self._failed.pop(name, None) is not None

    def pause_seconds(self) -> float:
        """Return how long nothing can be tried again that failed."""
        now = self._runtime.clock.seconds()
        times = [due - now for _, due in self._failed.values() if due > now]
        return min(times, default=ROUND_SECONDS)


def _trail() -> dict[str, str]:
    """Let the log of the other master have the id of the call that causes this one."""
    request_id = REQUEST_ID.get()
    return {"X-Request-Id": request_id} if request_id else {}


def _standing(record: ForwardedInstance) -> dict[str, str]:
    """Say what the call of an intention stands on, and whether it is to leave a trace.

    An earlier one that was given up may still be on its way, until one is answered.
    """
    headers = freshness_headers(max(record.seen, EARLIEST))
    return headers if record.is_settled else {**headers, CLAIM_HEADER: CLAIMED}


def _relayed(error: SlapError, master: OtherMaster) -> SlapError:
    """Return an error of the other master as one of ours."""
    sentence = f"the master {master.url} answers: {error.sentence}"
    for kind in (NotFound, Forbidden, NotReady):
        if isinstance(error, kind):
            return kind(sentence)
    if isinstance(error, MasterAway):
        return OtherMasterAway(sentence)
    return BadRequest(sentence)
