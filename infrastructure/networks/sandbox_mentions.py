"""What people say about a brand on the sandbox network: the same in every run, and ever more.

The n-th mention of a tenant on a network is made of a hash of their names and n. The first four
come within the hour, so that a fresh installation has something to show; after that there are
about five a day.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from application.social.networks import Heard, Overheard, Watch

SOON = tuple(timedelta(seconds=each) for each in (5, 60, 600, 3600))
APART = timedelta(hours=5)
SPREAD = 0.8
"""How much of the time between two mentions is left to chance."""

MOST = 1000
"""Mentions that are told at once."""


@dataclass(frozen=True)
class Said:
    """Something that people say; `{brand}` is whom they speak of."""

    language: str
    text: str


_TEXTS = """
en|Just got my order from @{brand} and it is beautiful. Thank you! #unboxing
en|The new collection by @{brand} is gorgeous 😍 #Fashion #NewIn
en|@{brand} do you ship to Norway?
en|@{brand} my parcel is a week late and nobody answers. Really disappointed. #delivery
en|Quick tip: the wool jackets of {brand} run a little small.
en|@{brand} the charger you sold me caught fire on my desk. This is dangerous!
en|Three years with my {brand} bag and it still looks like new. #sustainability
en|@{brand} charged my card twice, is this a scam? I want my money back.
en|Had a look around the {brand} store today. #shopping
en|Honestly the worst support I have had in years, @{brand}. Awful and rude.
en|@{brand} when will the blue one be back in stock? #restock
en|Great to see @{brand} repairing old pieces for free. #sustainability #repair
de|Heute kam mein Paket von @{brand}, die Qualität ist wirklich toll! #Mode
de|@{brand} wo bleibt mein Paket? Ich warte seit zwei Wochen und bin enttäuscht. #lieferung
de|Die neue Kollektion von {brand} gefällt mir sehr. #Fashion
de|@{brand} gibt es die Jacke auch in Grün?
de|Unverschämt, @{brand}: Geld weg, keine Ware, keine Antwort. Das ist Betrug!
de|War heute im Laden von {brand}. #shopping
fr|Merci @{brand}, la robe est magnifique et la livraison rapide ! #mode
fr|@{brand} colis arrivé cassé et le service client ne répond pas. Très déçue. #livraison
fr|J'adore la nouvelle collection de {brand} #fashion
fr|@{brand} quand est-ce que le magasin de Lyon ouvre ?
fr|Scandaleux, @{brand} : débitée deux fois, je vais porter plainte.
es|Me encanta lo nuevo de @{brand}, gracias por el envío tan rápido #moda
es|@{brand} ¿cuándo llega mi pedido? Llevo diez días esperando. #envio
es|La calidad de {brand} es excelente, la recomiendo #sustainability
es|Pésimo servicio de @{brand}, una vergüenza. No vuelvo a comprar.
it|Bellissima la borsa di @{brand}, qualità ottima! #moda
it|@{brand} il pacco è arrivato rotto, sono molto delusa. #consegna
it|@{brand} dove posso vedere la nuova collezione a Milano?
pt|Adorei a nova coleção da @{brand}, chegou rápido e é linda! #moda
pt|@{brand} produto chegou quebrado e ninguém responde. Péssimo. #entrega
pt|@{brand} vocês têm loja em Lisboa? #shopping
en|My sister found the perfect gift at {brand}. Happy birthday to her! #gift
en|Unboxing video of the {brand} autumn box is online. #unboxing
en|Interview with the founders of {brand} in the morning show. #NewIn
en|Love how @{brand} packs everything without plastic. #sustainability
de|Schöner Abend bei der Eröffnung von {brand}, danke für die Einladung! #NewIn
de|Unser Podcast spricht über {brand} und die Mode von morgen. #Mode
fr|La vitrine de {brand} est très jolie en ce moment #mode
es|Hoy hablamos de {brand} en la radio #moda
it|Stasera la sfilata di {brand} a Firenze #moda
pt|O desfile da {brand} em Lisboa foi lindo #moda
"""
SAYINGS: Sequence[Said] = [Said(*line.split("|", 1)) for line in _TEXTS.strip().splitlines()]

_GIVEN = (
    *("Amira", "Bo", "Chiara", "Dev", "Ekene", "Freja", "Goran", "Hana", "Ines", "Jonas", "Kaja"),
    *("Liam", "Mei", "Noor", "Oskar", "Priya", "Rafael", "Sanna", "Tomás", "Yusuf"),
)
_FAMILY = ("Adler", "Brandt", "Costa", "Dubois", "Eriksen", "Ferrari", "García", "Haddad", "Ito")
SIZES = (40, 120, 260, 480, 900, 1_700, 3_200, 6_500, 14_000, 85_000, 310_000)
"""How many may follow somebody. Few have many: the lower of two throws counts."""


def overheard(watch: Watch, now: datetime) -> Heard:
    """The mentions that have been made since the last time. The cursor is their number so far."""
    first = int(watch.cursor or 0)
    told: list[Overheard] = []
    while len(told) < MOST:
        n = first + len(told)
        at = watch.since + _age(watch, n)
        if at > now:
            break
        told.append(_mention(watch, n, at))
    return Heard(told, str(first + len(told)))


def _age(watch: Watch, n: int) -> timedelta:
    """How long after the beginning the n-th mention is made; never less than the one before."""
    if n < len(SOON):
        return SOON[n]
    chance = _throws(watch, n)[0] % 1000 / 1000
    return SOON[-1] + APART * (n - len(SOON) + SPREAD * chance + (1 - SPREAD))


def _mention(watch: Watch, n: int, at: datetime) -> Overheard:
    _, given, family, liked, shared, answered = _throws(watch, n)
    said = _saying(watch, n)
    name = f"{_GIVEN[given % len(_GIVEN)]} {_FAMILY[family % len(_FAMILY)]}"
    followers = _followers(name)
    id = _hash(watch, f"{watch.since.isoformat()} {n}")[:16]
    return Overheard(
        id=id,
        text=said.text.format(brand=_brand(watch)),
        at=at,
        author=name,
        handle=name.lower().replace(" ", "_"),
        followers=followers,
        url=f"https://{watch.network}.sandbox.invalid/mentions/{id}",
        language=said.language,
        likes=liked % (3 + followers // 150),
        shares=shared % (1 + followers // 900),
        comments=answered % (1 + followers // 1200),
    )


def _followers(name: str) -> int:
    """The same person always has the same."""
    dice = sha256(name.encode()).digest()
    return SIZES[min(dice[0] % len(SIZES), dice[1] % len(SIZES))]


def _brand(watch: Watch) -> str:
    return watch.words[0] if watch.words else watch.tenant


def _saying(watch: Watch, n: int) -> Said:
    """Each is said once before any is said again, in an order of each network's own: their
    number is prime, so that any step visits all of them."""
    order = int(_hash(watch, "order")[:8], 16)
    return SAYINGS[(order + n * (1 + order % (len(SAYINGS) - 1))) % len(SAYINGS)]


def _throws(watch: Watch, n: int) -> list[int]:
    """Six numbers that depend on the names and n alone."""
    name = _hash(watch, str(n))
    return [int(name[at : at + 6], 16) for at in range(0, 36, 6)]


def _hash(watch: Watch, what: str) -> str:
    return sha256(f"{watch.tenant}\0{watch.network}\0{what}".encode()).hexdigest()
