"""Core. A master that takes up another release, one region at a time."""

from __future__ import annotations

from labsim.mutants.mutant import Change, Mutant

ROLLING = "slapcluster/hosting/rolling.py"
RESTARTING = "slapcluster/hosting/restarting.py"
PROVING = "slapcluster/hosting/proving.py"
LIVES = ("upgrade",)

MUTANTS = (
    Mutant(
        "a leg begins while another region is in one",
        (Change(ROLLING, "    if unsettled:\n", "    if False:\n"),),
        "Two regions would be started anew at once, and the quorum be gone.",
        LIVES,
    ),
    Mutant(
        "all regions are asked for the wanted release at once",
        (
            Change(
                ROLLING,
                "name: it.asked for name, it in self.members.items()}",
                "n: m.asked.next(targets[n]) for n, m in self.members.items()}",
            ),
        ),
        "The quorum would be gone for as long as they take it up.",
        LIVES,
        1,
    ),
    Mutant(
        "all legs of a region have one number",
        (Change(ROLLING, 'str(int(self.number or "0") + 1)', 'self.number or "1"'),),
        "Who is called back would be settled by what it published of the leg before.",
        LIVES,
        2,
    ),
    Mutant(
        "a region goes whoever else is there",
        (
            Change(
                RESTARTING,
                "    silence = say_silence(answer)\n",
                '    return ""\n    silence = say_silence(answer)\n',
            ),
        ),
        "The root knows nothing of a computer that died a moment ago.",
        LIVES,
        2,
    ),
    Mutant(
        "a region that is to go is counted with the others",
        (Change(RESTARTING, " and region_of(it.storage) != own\n", "\n"),),
        "It will not be there, and one of the two others does not suffice.",
        LIVES,
        2,
    ),
    Mutant(
        "who is in the middle of a leg is not let go",
        (Change(RESTARTING, "in_force.leg != settled or (", "("),),
        "A release that never runs well could not be left.",
        LIVES,
        4,
    ),
    Mutant(
        "a leg is proved by looks of which some fail",
        (
            Change(
                PROVING,
                "        kept_count = 0 if broken else kept_count + 1\n",
                "        kept_count += 1\n",
            ),
        ),
        "The next region would go before this one is back.",
        LIVES,
        3,
    ),
)
