"""Problems: labelled series and their parts, where they come from and what is wrong with them.

`problem` has `Problem` with its card, `rule` the `EventRule`, `formats` reads files of cases,
`archive` fetches archive problems by name, `store` keeps problems that were cut. `splits` draws
parts; `audit`, `overlaps` and `fingerprints` find what makes scores too good.

Public: Problem, load, save, available, card, make_parts, EventRule, Audit, audit.
"""

from typing import Literal, get_args

Part = Literal["train", "valid", "test"]
PARTS: tuple[Part, ...] = get_args(Part)
"""Names of the parts; a part's code is its position here."""
