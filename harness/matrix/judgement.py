"""What is to be said of all cells of a run together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.builds import Catalogue
from harness.model import CellResult, Verdict
from harness.verdicts.ledger import Ledger
from harness.verdicts.relations import RELATIONS, Relation, judge_relations


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """How the cells of a run stand to each other, and to the ledger.

    Attributes:
        relations: Every relation over the pairs that the cells have.
        stale: One line for each entry of the ledger that some cell contradicts.
    """

    relations: tuple[Relation, ...]
    stale: tuple[str, ...]

    @property
    def broken(self) -> tuple[Relation, ...]:
        """The relations that do not hold."""
        return tuple(one for one in self.relations if one.verdict is Verdict.FAIL)

    @property
    def holds(self) -> bool:
        """Whether cells that are good on their own agree with each other and with the ledger."""
        return not self.broken and not self.stale

    @property
    def complaint(self) -> str:
        """One line where it does not hold."""
        parts = []
        if self.broken:
            parts.append(f"{_counted(len(self.broken), 'relation')} broken")
        if self.stale:
            parts.append(f"{_counted(len(self.stale), 'ledger entry', 'ledger entries')} stale")
        return f"every cell is good on its own, but {' and '.join(parts)}"

    def lines(self) -> Iterator[str]:
        """The same for people."""
        if self.relations and not self.broken:
            yield f"{_counted(len(self.relations), 'relation')} between cells: all hold"
        elif self.relations:
            yield (
                f"{_counted(len(self.relations), 'relation')} between cells: {len(self.broken)} "
                f"{'does' if len(self.broken) == 1 else 'do'} not hold"
            )
        for name, meaning in RELATIONS.items():
            broken = [relation for relation in self.broken if relation.name == name]
            if broken:
                yield f"  {name}: {meaning}; but not"
            for relation in broken:
                yield f"    {relation.one} and {relation.other}: {relation.difference}"
        if self.stale:
            yield f"stale in the ledger: {_counted(len(self.stale), 'entry', 'entries')}"
        for line in self.stale:
            yield f"  {line}"


def _counted(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or f'{one}s'}"


def judge_run(results: Sequence[CellResult], catalogue: Catalogue, ledger: Ledger) -> Judgement:
    """Judge the relations and the ledger over all results of a run."""
    return Judgement(relations=judge_relations(results, catalogue), stale=ledger.stale(results))
