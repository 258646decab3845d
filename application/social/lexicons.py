"""Words of six languages: what they are worth, and what tells the languages apart.

Compiled for this project from what customers write about shops and brands. A word that ends in
`*` stands for all words that begin so, which covers inflection well enough for whole sentences.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

SHORTEST_STEM = 3

VALUES = {"delight": 3.0, "pleasure": 1.9, "displeasure": -1.9, "anger": -3.0}
"""Valences as VADER's scale has them, from -4 to 4."""


@dataclass(frozen=True)
class Lexicon:
    """One language. `negates_before`: how many words after a word may still negate it."""

    common: frozenset[str]
    delight: str = ""
    pleasure: str = ""
    displeasure: str = ""
    anger: str = ""
    negations: frozenset[str] = frozenset()
    more: frozenset[str] = frozenset()
    but: frozenset[str] = frozenset()
    questions: tuple[str, ...] = ()
    urgent: tuple[str, ...] = ()
    negates_before: int = 0

    def valence(self, word: str) -> float:
        """What a word in lower case is worth; 0 for most."""
        if word in self._words:
            return self._words[word]
        for length in range(len(word), SHORTEST_STEM - 1, -1):
            if (stem := word[:length]) in self._stems:
                return self._stems[stem]
        return 0.0

    @cached_property
    def _words(self) -> Mapping[str, float]:
        return {word: value for word, value in self._valued() if not word.endswith("*")}

    @cached_property
    def _stems(self) -> Mapping[str, float]:
        return {word[:-1]: value for word, value in self._valued() if word.endswith("*")}

    def _valued(self) -> list[tuple[str, float]]:
        return [(w, value) for name, value in VALUES.items() for w in getattr(self, name).split()]


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


def _phrases(phrases: str) -> tuple[str, ...]:
    return tuple(each.lstrip() for each in phrases.split(","))


# VADER weighs English; the words of value here only help to tell that a text is English.
_ENGLISH = Lexicon(
    common=_set(
        "the a an and or of to in is it i you my your we they this that was were are be been have "
        "has had not no do does did can could would will with for from on at by what when where "
        "why how which who there here just only very so too again after before about all any "
        "some more most than then them us our me he she his her its if but as up out get got "
        "don't isn't can't won't doesn't didn't i'm it's i've they're that's anyone every ever "
        "never still now off into over"
    ),
    pleasure="love* great good nice happy thank* amazing beautiful* excellent best wonderful "
    "recommend* favourite favorite helpful friendly pleased looks enjoy* awesome quick*",
    displeasure="bad terrible awful disappoint* worst broke* hate* delay* slow poor* rude late "
    "wrong refund* sorry problem* useless angry complain* waiting",
    questions=_phrases(
        "how do i, how can i, how long, how much, where is my, where can i, when will, when does,"
        "can you, could you, can anyone, does anyone, do you, is there, is it possible, why is,"
        "why does, why did, what is the, has anyone, any idea"
    ),
    urgent=_phrases(
        "urgent, emergency, lawsuit, lawyer, attorney, legal action, sue , suing, scam, fraud,"
        "stolen, hacked, data breach, leaked, injured, injury, burned, burnt my, caught fire,"
        "on fire, recall , allergic, poison, dangerous, unsafe, police, in hospital, asap"
    ),
)

_GERMAN = Lexicon(
    common=_set(
        "der die das den dem des ein eine einen einem einer und oder aber ist sind war waren bin "
        "hat habe haben hatte wird werden wurde nicht kein keine mit von für auf aus bei nach zu "
        "zum zur im am an in ich du er sie es wir ihr mich mir uns euch mein meine meinen euer "
        "eure sich so wie was wer wo wann warum auch noch nur schon sehr mehr als wenn dass weil "
        "hier da dort doch mal man alle wieder immer nie seit über unter kann könnt könnte bitte "
        "danke jetzt heute gestern morgen jemand gibt euren eurem vom beim neu neue neuen neuer"
    ),
    delight="begeister* fantastisch* großartig* grossartig* hervorragend* wunderbar* perfekt* "
    "ausgezeichnet* genial* traumhaft* liebe lieben liebt geliebt überwältig* sensationell* "
    "wunderschön*",
    pleasure="gut gute guter gutes guten besser beste bester bestes besten toll* schön* super "
    "klasse prima freu* zufrieden* empfehl* gefäll* gefallen hilfreich* freundlich* nett* danke "
    "dank lecker* schnell* zuverlässig* angenehm* gelungen* glücklich* lob* stark* hübsch* gern "
    "gerne glückwunsch cool* mag",
    displeasure="schlecht* enttäusch* leider langsam* teuer problem* fehler* kaputt* verspät* "
    "mangelhaft* ärger* nerv* beschwer* unfreundlich* schade falsch* billig* defekt* kompliziert* "
    "verärgert unzufrieden* reklam* wart* verloren* fehlt mies* traurig* beschädigt*",
    anger="katastroph* furchtbar* schrecklich* unverschämt* betrug* abzocke frech* skandal* hass* "
    "miserabel* unmöglich* entsetz* grauenhaft* wütend* ekel* empör* abgezockt lüge* "
    "unterirdisch*",
    negations=_set("nicht kein keine keinen keinem keiner nie niemals nichts ohne weder kaum"),
    more=_set("sehr so extrem total absolut wirklich echt richtig unglaublich besonders mega"),
    but=_set("aber jedoch trotzdem allerdings doch"),
    questions=_phrases(
        "wo ist, wo kann, wo bleibt, wann kommt, wann gibt, wie lange, wie kann, warum ist, warum "
        "wird, könnt ihr, kann man, kann ich, gibt es, hat jemand, weiß jemand, habt ihr, wer kann"
    ),
    urgent=_phrases(
        "dringend, notfall, anwalt, anzeige , klage , verklag, betrug, abzocke, gestohlen, gehackt,"
        "datenleck, verletzt, verbrannt, brand , gebrannt, rückruf, allergisch, vergift, polizei,"
        "gefährlich, krankenhaus, sofort "
    ),
    negates_before=2,
)

_FRENCH = Lexicon(
    common=_set(
        "le la les l un une des du de d et ou mais est sont était être suis es ai as a avons avez "
        "ont avait pas ne n rien avec pour par sur dans en au aux ce cet cette ces je tu il elle "
        "on nous vous ils elles me mon ma mes ton ta tes votre vos notre nos leur se sa son ses "
        "qui que quoi où quand pourquoi comment très trop plus moins encore toujours jamais déjà "
        "aussi si comme bien c'est j'ai n'est qu'il d'un d'une y chez depuis tout tous toute peut "
        "pouvez merci bonjour l'ai s'il quelqu'un hier aujourd'hui demain nouveau nouvelle fait"
    ),
    delight="génial* magnifique* formidable* merveilleu* fantastique* excellent* parfait* adore* "
    "j'adore superbe* sublime* incroyable* extraordinaire* exceptionnel*",
    pleasure="bon bonne bons bonnes bien super beau belle belles meilleur* content* heureu* ravi* "
    "merci aime j'aime aimons recommand* satisf* agréable* sympa* rapide* efficace* joli* "
    "qualité bravo plaisir félicit* gentil* utile* réussi* impeccable* délicieu*",
    displeasure="mauvais* déçu* décev* déception* lent* cher chère problème* retard* erreur* "
    "cassé* défectu* dommage difficile* faux plaint* plaindre énerv* triste* malheureusement "
    "manque* nul nulle nuls attend* perdu* abîmé* remboursement inutile* désagréable* insatisf*",
    anger="horrible* affreu* honte* honteu* arnaque* scandale* catastroph* désastre* inadmissible* "
    "inacceptable* déteste* voleur* furieu* pire lamentable* escroc* ignoble* dégoût*",
    negations=_set("pas jamais rien aucun aucune sans ni guère n'est"),
    more=_set("très trop vraiment tellement extrêmement super absolument tout si hyper"),
    but=_set("mais cependant pourtant toutefois"),
    questions=_phrases(
        "où est, où puis, où sont, quand est, quand arrive, comment faire, comment puis, combien, "
        "pourquoi est, est ce que, pouvez vous, peut on, avez vous, quelqu'un sait, quelqu'un a"
    ),
    urgent=_phrases(
        "urgent, urgence, avocat, plainte, procès, tribunal, arnaque, fraude, escroquerie, volé ,"
        "piraté, fuite de données, blessé, brûlé, incendie, prend feu, pris feu, rappel produit,"
        "allergi, empoison, dangereu, police, hôpital"
    ),
)

_SPANISH = Lexicon(
    common=_set(
        "el la los las un una unos unas de del al y o pero es son era ser está están estoy estaba "
        "he ha han hay no ni con por para en sobre sin desde hasta que qué quien quién cuando "
        "cuándo donde dónde como cómo porque yo tú él ella nosotros ustedes ellos me te se nos mi "
        "mis tu tus su sus lo le les este esta esto estos estas ese esa eso muy más menos ya aún "
        "todavía también siempre nunca todo todos toda algo nada si sí gracias hola puede pueden "
        "tengo tiene alguien hace hoy ayer mañana nuevo nueva nuevos nuevas hacer quiero"
    ),
    delight="excelente* maravillos* increíble* fantástic* perfect* genial* espectacular* encant* "
    "estupend* amo adoro magnífic* fenomenal* sensacional* preciosísim*",
    pleasure="bien buen buena bueno buenas buenos mejor* gusta* gustó gracias feliz* content* "
    "recomiendo recomendable* recomend* bonit* hermos* lind* precios* rápid* amable* útil* "
    "satisfech* calidad alegr* felicit* divertid* agradable* eficaz* cómod* rico rica guay",
    displeasure="mal mala malo malas malos decepcion* lent* caro cara problema* retras* tarde "
    "error* roto rota rotos rotas defectuos* lástima difícil* falso queja* molest* triste* "
    "lamentablemente falta* esperando perdid* dañad* inútil* insatisfech* tampoco",
    anger="horrible* terrible* pésim* estafa* vergüenza vergonzos* asco asqueros* odio odia "
    "desastre* fatal inaceptable* robo ladron* furios* peor* escándalo engañ* indignante*",
    negations=_set("no nunca jamás nada ni sin tampoco ningún ninguna"),
    more=_set("muy tan demasiado realmente súper super totalmente absolutamente bastante mucho"),
    but=_set("pero sino aunque"),
    questions=_phrases(
        "dónde está, donde está, dónde puedo, donde puedo, cuándo llega, cuando llega, cómo puedo,"
        "como puedo, cuánto, por qué, pueden, podéis, puede alguien, alguien sabe, tienen, hay "
        "alguna"
    ),
    urgent=_phrases(
        "urgente, urgencia, emergencia, abogado, demanda , demandar, denuncia, estafa, fraude,"
        "robado, hackea, filtración de datos, herido, herida, quemado, quemó, incendio, alergi,"
        "intoxic, peligros, policía, hospital"
    ),
)

_ITALIAN = Lexicon(
    common=_set(
        "il lo la i gli le un uno una di del della dei delle dello da dal dalla in nel nella con "
        "su sul sulla per tra fra e o ma è sono era essere ho hai ha abbiamo avete hanno non né "
        "che chi cosa come quando dove perché io tu lui lei noi voi loro mi ti si ci vi me mio "
        "mia miei tuo suo sua vostro vostra nostro questo questa questi quello quella molto più "
        "meno già ancora anche sempre mai tutto tutti tutta qualcosa niente se sì grazie ciao può "
        "potete c'è dopo prima qualcuno stato stata posso voglio nuovo nuova nuovi nuove oggi ieri "
        "domani stasera fatto fare"
    ),
    delight="eccellent* meraviglios* fantastic* perfett* straordinari* incredibil* adoro amo "
    "splendid* favolos* magnific* stupend* bellissim* ottim* eccezional*",
    pleasure="buon* bene bello bella belli belle migliore migliori piace piaciut* felic* content* "
    "consigli* grazie veloc* gentil* util* soddisfatt* qualità complimenti brav* carin* rapid* "
    "piacevol* efficient* comod* simpatic* delizios*",
    displeasure="male malo cattiv* delus* delud* lent* caro cara problem* ritard* errore errori "
    "rotto rotta rotti rotte difettos* peccato difficil* falso lament* fastidi* triste* purtroppo "
    "manca* aspett* perso persa danneggiat* inutil* insoddisfatt* reclam*",
    anger="orribil* pessim* terribil* truff* vergogn* schifo schifos* odio disastr* inaccettabil* "
    "furto ladr* furios* peggio* scandal* arrabbiat* incompetent* indecent*",
    negations=_set("non mai niente nulla nessun nessuno nessuna senza né"),
    more=_set("molto troppo davvero proprio assolutamente estremamente tanto così super"),
    but=_set("ma però tuttavia"),
    questions=_phrases(
        "dov'è, dove è, dove posso, quando arriva, come posso, quanto, perché non, potete, si può,"
        "qualcuno sa, avete, c'è qualcuno, come faccio"
    ),
    urgent=_phrases(
        "urgente, urgenza, emergenza, avvocato, denuncia, querela, truffa, frode, rubato, hackerat,"
        "fuga di dati, ferito, ferita, bruciat, incendio, preso fuoco, allergi, avvelen, pericolos,"
        "polizia, ospedale"
    ),
)

_PORTUGUESE = Lexicon(
    common=_set(
        "o a os as um uma uns umas de do da dos das em no na nos nas com por pelo pela para pra e "
        "ou mas é são era ser está estão estou estava tenho tem têm há não nem que quem quando "
        "onde como porque eu tu ele ela nós vocês você eles me te se meu minha meus minhas seu "
        "sua seus teu isso isto este esta esse essa aquele muito mais menos já ainda também "
        "sempre nunca tudo todos toda algo nada se sim obrigado obrigada olá pode podem alguém "
        "foi ao à depois sem até vou hoje ontem amanhã novo nova novos novas fazer quero"
    ),
    delight="excelente* maravilhos* incrível incríveis fantástic* perfeit* adoro adorei amo amei "
    "espetacular* sensacional* lindíssim* ótim* magnífic* extraordinári*",
    pleasure="bom boa bons boas bem melhor* gosto gostei feliz* content* recomend* obrigad* lind* "
    "bonit* rápid* simpátic* útil úteis satisfeit* qualidade parabéns legal agradável* eficient* "
    "atencios* gostos* confortável* show",
    displeasure="mau má maus más ruim ruins dececion* decepcion* desapont* lent* caro cara "
    "problema* atras* tarde erro erros quebrad* partid* defeituos* pena difícil* falso reclam* "
    "chatead* triste* infelizmente falta* espera* perdid* danificad* inútil* insatisfeit*",
    anger="horrível horríveis terrível terríveis péssim* golpe vergonha vergonhos* nojo odeio "
    "odiei desastre* inaceitável* roubo ladr* furios* pior* escândalo burla enganad* absurdo "
    "descaso palhaçada",
    negations=_set("não nunca jamais nada nem sem nenhum nenhuma"),
    more=_set("muito tão demais realmente super totalmente absolutamente bastante"),
    but=_set("mas porém contudo todavia"),
    questions=_phrases(
        "onde está, onde posso, onde fica, quando chega, como posso, como faço, quanto custa, por "
        "que, vocês têm, vocês tem, podem, pode alguém, alguém sabe, tem como"
    ),
    urgent=_phrases(
        "urgente, urgência, emergência, advogado, processar, processo judicial, denúncia, golpe ,"
        "burla, fraude, roubado, hackead, vazamento de dados, ferido, ferida, queimad, incêndio,"
        "pegou fogo, alergi, intoxic, perigos, polícia, hospital"
    ),
)

LEXICONS: Mapping[str, Lexicon] = {
    "en": _ENGLISH,
    "de": _GERMAN,
    "fr": _FRENCH,
    "es": _SPANISH,
    "it": _ITALIAN,
    "pt": _PORTUGUESE,
}
"""By code of ISO 639-1."""
