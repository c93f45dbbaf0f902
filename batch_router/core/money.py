"""US dollars as people read them."""

from decimal import Decimal


def dollars(amount: Decimal) -> str:
    """As in `$1,234.50` or, less than a dollar, with two digits that count: `$0.00081`."""
    decimals = 2 if amount >= 1 or not amount else max(2, 1 - amount.adjusted())
    return f"${amount:,.{decimals}f}"


def describe_cost(cost: Decimal | None, known: Decimal) -> str:
    """As in `cost: $1.25`, or `cost: unknown, $0.50 of it is known`."""
    if cost is not None:
        return f"cost: {dollars(cost)}"
    return f"cost: unknown, {dollars(known)} of it is known" if known else "cost: unknown"
