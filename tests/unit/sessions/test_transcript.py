"""How a session reads on the screen."""

from harness.model import LoadRequest
from harness.sessions.runner import Runner
from harness.sessions.script import Interruption, Load
from harness.sessions.transcript import describe_step, summary
from tests.unit.sessions.worlds import Planner, stage

MTP = LoadRequest(model="tiny-mtp", mode="mtp", draft_n_max=8)
CLEARED = LoadRequest(model="tiny-mtp", mode="mtp")

TRANSCRIPT = """\
   1  pass   load --mode mtp --draft-max 8
             reloaded, nothing was loaded: nothing loaded → draft-mtp 0…8
   2  FAIL   load --mode mtp --draft-max default
             kept by the route guard: still draft-mtp 0…8
             same-as-fresh-load: expected draft-mtp 0…3
                                 observed draft-mtp 0…8
             draft-mtp n_max 8, against the contract: draft-mtp n_max 3
   3  pass   unload
             unloaded: draft-mtp 0…8 → nothing loaded
3 steps, 2 loads, 1 reload: 2 pass, 1 fail"""


def test_a_session_with_bug_b() -> None:
    place = stage(Planner("@B"))
    session = place.real()
    try:
        steps = (Load(request=MTP), Load(request=CLEARED), Interruption.UNLOAD)
        reports = list(Runner(session, place.oracle).run(steps))
    finally:
        session.close()
    told = [*map(describe_step, reports), summary(reports)]
    assert "\n".join(told) == TRANSCRIPT
