# ruff: noqa: E501 - a text of a source stands as it stands there
"""Core. What a master does so that answers are fresh, and decisions follow each other."""

from __future__ import annotations

from labsim.mutants.mutant import Change, Mutant

POLLING = "master_cluster/polling.py"
STORE = "master_cluster/store/store.py"
STORAGES = "master_cluster/store/storages.py"
ANNOUNCING = "master_cluster/store/announcing.py"
CLOUD = "master_cluster/store/cloud.py"
SHELVING = "master_cluster/store/shelving.py"
REMEMBERING = "master_cluster/remembering.py"
DESTROYING = "master_cluster/destroying.py"

MUTANTS = (
    Mutant(
        "shelves are filled without looking",
        (
            Change(
                SHELVING,
                "        rely_on(computer)\n        record = computer.read(ComputerRecord)\n",
                "        record = computer.read(ComputerRecord)\n",
            ),
        ),
        "The attributes by which requests choose are those of the computer.",
        ("trees",),
        seed=1,
    ),
    Mutant(
        "a change of a computer makes no later document",
        (
            Change(
                POLLING, "                entry.outdate(self._standing(entry))\n", ""
            ),
        ),
        "An old document would be answered as the present one, for ever.",
        ("prompt", "cuts"),
    ),
    Mutant(
        "who waits for a change is no reason to compute",
        (
            Change(
                POLLING,
                "        return bool(self.pending) or bool(self.waiting and not self.is_current)\n",
                "        return bool(self.pending)\n",
            ),
        ),
        "A poll that waits would sleep through the change.",
        ("prompt",),
    ),
    Mutant(
        "a document is called as new as its end",
        (
            Change(
                POLLING,
                "        entry.etag, entry.etag_generation = outcome.etag, begun\n",
                "        entry.etag, entry.etag_generation = outcome.etag, entry.generation\n",
            ),
        ),
        "A change during a computation may not be in it.",
        ("trees", "rivals"),
        seed=1,
    ),
    Mutant(
        "another content does not end a wait",
        (
            Change(
                POLLING,
                "            if not poll.condition.holds(document.etag):\n                self._stop_waiting(entry, poll)\n                yield poll, evolve(document, tid=self._told_tid(entry, poll))\n",
                "            pass\n",
            ),
        ),
        "Agents would hear of changes when their time is over.",
        ("prompt",),
    ),
    Mutant(
        "commits of this master are not announced",
        (Change(ANNOUNCING, "        self._base.announce(modified)\n", ""),),
        "What was kept of older answers would be told on.",
        ("prompt", "cuts"),
    ),
    Mutant(
        "a conflict is an error",
        (
            Change(
                STORE,
                '                attempts.add("conflict")\n                await self._pause(number)\n',
                '                attempts.add("conflict")\n                raise\n',
            ),
        ),
        "Two clients at once would be one client and one incident.",
        ("rivals", "rush"),
    ),
    Mutant(
        "transaction ids follow the clock alone",
        (
            Change(
                STORAGES,
                "    later: bytes = stamp.laterThan(TimeStamp(last_tid)).raw()\n    return later\n",
                "    later: bytes = stamp.raw()\n    return later\n",
            ),
        ),
        "A clock that was set back would put new versions below old ones.",
        ("outage", "everything"),
    ),
    Mutant(
        "a usage document is kept as often as it comes",
        (
            Change(
                "master_cluster/store/usage.py",
                "        if record.document_id in stored.documents:\n            return\n",
                "",
            ),
        ),
        "Who got no answer sends again: nobody pays twice.",
        ("usage", "everything"),
    ),
    Mutant(
        "answers of memory are not forgotten",
        (
            Change(
                REMEMBERING,
                "            for question in tuple(self._questions.get(oid, ())):\n                self._drop(question)\n",
                "            pass\n",
            ),
        ),
        "The same request means something else after a change.",
        ("rivals", "prompt"),
    ),
    Mutant(
        "an answer that was overtaken is kept",
        (
            Change(
                REMEMBERING,
                "        if since != self._change_count:\n            return\n",
                "",
            ),
        ),
        "The commit that overtook it has been announced: nothing would remove it.",
        ("rivals",),
        seed=35,
    ),
    Mutant(
        "a computer is not told of a change of its instances",
        (
            Change(
                CLOUD,
                "        remember_report(stored, old.report, record.report)\n        stored.write(record)\n        self._advance(record)\n",
                "        remember_report(stored, old.report, record.report)\n        stored.write(record)\n",
            ),
        ),
        "Agents would never hear that an instance shall stop.",
        ("prompt", "cuts"),
    ),
    Mutant(
        "a computer is not told of a new instance",
        (
            Change(
                CLOUD,
                "        titles[hashed(record.title)] = guid\n        self._advance(record)\n",
                "        titles[hashed(record.title)] = guid\n",
            ),
        ),
        "A new instance would wait for the next change of its computer.",
        ("prompt",),
    ),
    Mutant(
        "a computer is not told of a release",
        (
            Change(
                CLOUD,
                "        else:\n            return\n        computer.revision.advance()\n",
                "        else:\n            return\n",
            ),
        ),
        "What is supplied would be built when something else changes.",
        ("prompt",),
    ),
    Mutant(
        "a report of removal frees what nobody wants removed",
        (
            Change(
                DESTROYING,
                "    if instance.requested_state is not RequestedState.DESTROYED:\n        return Destruction(\n",
                "    if False:\n        return Destruction(\n",
            ),
        ),
        "A report is late: meanwhile the instance may be wanted again.",
        ("rivals",),
    ),
    Mutant(
        "a partition that is taken is offered on",
        (
            Change(
                CLOUD,
                "        self.shelving.list_partition(computer, partition, occupied)\n",
                "",
            ),
        ),
        "The next request would be given the same partition.",
        ("rivals", "rush"),
        seed=1,
    ),
    Mutant(
        "a partition that is free again is not offered",
        (
            Change(
                CLOUD,
                "        if vacated.is_offered:\n            self.shelving.list_partition(computer, partition, vacated)\n",
                "        if vacated.is_offered:\n            pass\n",
            ),
        ),
        "Places would be used up by what came and went.",
        ("rivals", "rush"),
    ),
    Mutant(
        "a computer stays on its shelves when its attributes change",
        (
            Change(
                CLOUD,
                "            self.shelving.move(record.computer_id, stored)\n",
                "",
            ),
        ),
        "Requests would find it by what an operator said of it before.",
        ("trees",),
    ),
    Mutant(
        "attributes change without looking at what is offered",
        (
            Change(
                SHELVING,
                "        for offer in computer.offers.values():\n            rely_on(offer)\n        self.settle(",
                "        self.settle(",
            ),
        ),
        "What is offered meanwhile would stand on a shelf of the attributes of before.",
        ("trees",),
        seed=21,
    ),
    Mutant(
        "requests go wherever there is room",
        (
            Change(
                "master_cluster/allocation.py",
                "        fitting = (it for it in shelves if conditions.fit(it.attributes))\n",
                "        fitting = iter(shelves)\n",
            ),
        ),
        "An instance would be where its request says that it must not be.",
        ("trees",),
    ),
    Mutant(
        "a child is made without looking at its root",
        (
            Change(CLOUD, "            rely_on(stored.children)\n", ""),
            Change(
                "master_cluster/store/views.py",
                "    cloud.rely_on(requester)\n    cloud.rely_on(root)\n",
                "",
            ),
        ),
        "A root that goes meanwhile would leave it in no tree, for ever. Who frees a root relies on its children, too: that is left out with it.",
        ("trees",),
        seed=2,
    ),
)
