"""Places whose trends can be asked for: countries for which X lists trends, and the world.

Source of the ids: X, "Trends by WOEID" and the archived list of available locations (Yahoo's
where-on-earth ids of countries); codes are those of ISO 3166-1 alpha-2.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from domain.kernel import Invalid
from domain.social.trends import WORLD


@dataclass(frozen=True, slots=True)
class Place:
    """`names` are how people write it, in lower case; the first is the one that is shown."""

    code: str
    woeid: int
    names: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its English name."""
        small = ("of", "the")
        words = self.names[0].split()
        return " ".join(word if word in small else word.capitalize() for word in words)


_LISTED = """
AE 23424738 united arab emirates, emirates, uae
AR 23424747 argentina
AT 23424750 austria, österreich
AU 23424748 australia
BE 23424757 belgium, belgië, belgique
BR 23424768 brazil, brasil
CA 23424775 canada
CH 23424957 switzerland, schweiz, suisse, svizzera
CL 23424782 chile
CO 23424787 colombia
DE 23424829 germany, deutschland
DK 23424796 denmark, danmark
EG 23424802 egypt
ES 23424950 spain, españa
FR 23424819 france
GB 23424975 united kingdom, uk, great britain, england
GR 23424833 greece
ID 23424846 indonesia
IE 23424803 ireland, éire
IN 23424848 india
IT 23424853 italy, italia
JP 23424856 japan
KE 23424863 kenya
KR 23424868 south korea, korea
MX 23424900 mexico, méxico
MY 23424901 malaysia
NG 23424908 nigeria
NL 23424909 netherlands, nederland, the netherlands
NO 23424910 norway, norge
NZ 23424916 new zealand
PL 23424923 poland, polska
PT 23424925 portugal
SA 23424938 saudi arabia
SE 23424954 sweden, sverige
SG 23424948 singapore
TH 23424960 thailand
TR 23424969 turkey, türkiye
UA 23424976 ukraine
US 23424977 united states, usa, united states of america, america
ZA 23424942 south africa
"""


def _places() -> Mapping[str, Place]:
    found = {WORLD: Place(WORLD, 1, ("world", "worldwide", "global"))}
    for line in _LISTED.strip().splitlines():
        code, woeid, names = line.split(" ", 2)
        found[code] = Place(code, int(woeid), tuple(names.split(", ")))
    return found


PLACES: Mapping[str, Place] = _places()
_BY_NAME = {name: place for place in PLACES.values() for name in (place.code.lower(), *place.names)}


def place_of(text: str) -> Place:
    """The place that a code or a name means, in any letter case.

    Raises `Invalid`, naming `location` and the codes there are.
    """
    place = _BY_NAME.get(" ".join(text.casefold().split()))
    if place is None:
        known = ", ".join(sorted(PLACES))
        raise Invalid(
            f"No network lists trends for this place. Known: {known}.",
            field="location",
            code="unknown_location",
        )
    return place
