"""Industries whose trends can be asked for, and the words by which they are told.

Each has words of its trade in English and in other languages that customers write in; a hashtag
or topic belongs to an industry when it is made of such words, or stands beside them in texts.
"""

from collections.abc import Mapping

from domain.kernel import Invalid

_WORDS = """
automotive: car cars auto automotive vehicle vehicles driving driver motor electriccar ev suv
  charging carshow auto fahrzeug voiture coche automóvil carro
beauty: beauty makeup skincare cosmetics hair nails lipstick fragrance perfume serum moisturizer
  glow schönheit kosmetik beauté maquillage belleza maquillaje bellezza trucco beleza
education: education learning school teacher teachers student students university study course
  classroom scholarship bildung schule lernen école éducation educación escuela scuola educação
entertainment: movie movies film films cinema series show television tv streaming actor celebrity
  trailer premiere concert festival kino cine película cinema série
fashion: fashion style outfit ootd dress clothing clothes wear streetwear sneakers jewelry handbag
  designer runway collection couture luxury slowfashion denim mode kleidung vêtements moda ropa
  abbigliamento roupa
finance: finance money investing investment investor stocks bank banking crypto bitcoin trading
  insurance savings fintech economy budget finanzen geld argent banque dinero finanzas banco soldi
fitness: fitness gym workout training yoga running runner exercise muscle cardio pilates marathon
  crossfit laufen sport musculation entrenamiento allenamento treino
food: food foodie recipe recipes cooking kitchen restaurant chef dinner lunch breakfast baking
  vegan coffee wine dessert essen rezept kochen cuisine recette comida receta cucina ricetta receita
gaming: gaming gamer gamers game games esports playstation xbox nintendo twitch steam console
  streamer videogames spiel jeu jeux videojuegos gioco jogos
health: health healthy wellness medicine doctor hospital nutrition mentalhealth therapy vaccine
  sleep selfcare gesundheit santé salud salute saúde
home: home interior interiordesign furniture decor homedecor garden gardening renovation diy
  kitchen living wohnen möbel maison meubles hogar muebles casa arredamento
music: music song songs album artist band concert playlist singer rap pop vinyl tour musik musique
  música musica canción
nonprofit: charity nonprofit donation donate volunteer volunteering fundraising community ngo
  spende don donación volontariato
real_estate: realestate property properties apartment mortgage rent housing realtor homeforsale
  immobilien wohnung immobilier inmobiliaria immobiliare imóveis
retail: retail shopping shop store sale discount ecommerce blackfriday deal deals customer delivery
  returns einkaufen rabatt magasin soldes tienda rebajas negozio sconti loja
sports: sports sport football soccer basketball tennis cricket league team match champions olympics
  goal coach fussball fußball foot fútbol calcio futebol
sustainability: sustainability sustainable climate climateaction green recycling recycled reuse
  zerowaste carbon renewable solar energy environment ecofriendly nachhaltigkeit klima durable
  sostenibilidad sostenibile sustentável
technology: technology tech ai software app apps data cloud cybersecurity developer coding startup
  robot innovation smartphone digital automation machinelearning technologie tecnología tecnologia
travel: travel traveling trip vacation holiday holidays flight hotel beach tourism tourist adventure
  wanderlust destination reise urlaub voyage vacances viaje vacaciones viaggio vacanze viagem
"""

_OTHER_NAMES = {
    "apparel": "fashion",
    "automobile": "automotive",
    "banking": "finance",
    "cars": "automotive",
    "cosmetics": "beauty",
    "ecommerce": "retail",
    "e_commerce": "retail",
    "environment": "sustainability",
    "film": "entertainment",
    "food_and_beverage": "food",
    "games": "gaming",
    "healthcare": "health",
    "hospitality": "travel",
    "it": "technology",
    "luxury": "fashion",
    "luxury_fashion": "fashion",
    "media": "entertainment",
    "realestate": "real_estate",
    "restaurants": "food",
    "software": "technology",
    "sport": "sports",
    "tech": "technology",
    "tourism": "travel",
}


def _industries() -> Mapping[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    name = ""
    for line in _WORDS.strip().splitlines():
        head, colon, rest = line.partition(":")
        name = head if colon else name
        found[name] = found.get(name, frozenset()) | frozenset((rest if colon else line).split())
    return found


INDUSTRIES: Mapping[str, frozenset[str]] = _industries()


def industry_of(text: str) -> str:
    """The industry that is meant, in any letter case, with spaces, hyphens or underscores.

    Raises `Invalid`, naming `industry` and the industries there are.
    """
    name = "_".join(
        text.casefold().replace("-", " ").replace("_", " ").replace("&", " and ").split()
    )
    name = _OTHER_NAMES.get(name, name)
    if name not in INDUSTRIES:
        known = ", ".join(sorted(INDUSTRIES))
        raise Invalid(f"Known industries: {known}.", field="industry", code="unknown_industry")
    return name
