"""What declarations read of the firm's companies: the currency in which each keeps its books."""

from purser import Domain, Many2One, QueryContext, Row, Snapshot


class OwnCompany(Row, model="res.company", optional=True):
    """A company of the firm that the bot may see."""

    currency_id: Many2One

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain | None:
        """Read all, where something that was read before has a currency."""
        read = scope.snapshot
        return [] if any(read.rows(kind) for kind in read.kinds() if "currency_id" in kind.model_fields) else None


def own_currency(snapshot: Snapshot) -> str | None:
    """Return the currency of the firm's books; None where its companies keep them in several, or none can be read."""
    found = {company.currency_id.name for company in snapshot.rows(OwnCompany)}
    return found.pop() if len(found) == 1 else None
