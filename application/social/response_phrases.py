"""Phrases of the embedded response writer. None states a fact, gives a promise that somebody else
would have to keep, or presumes what the brand sells.

`formal` speaks to people as strangers (no contractions, `Sie`, `usted`, `vous`), `informal` as
acquaintances. `{name}` is the author's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from domain.social.responses import ResponseTone


class Intent(StrEnum):
    """What a mention is, as far as answering it goes."""

    COMPLAINT = "complaint"
    QUESTION = "question"
    PRAISE = "praise"
    REMARK = "remark"


Variants = tuple[str, ...]


@dataclass(frozen=True)
class Phrases:
    """What is said in one language and register: first to the person, then about the mention,
    then what could come next."""

    greeting: Variants
    opening: Mapping[Intent, Variants]
    following: Mapping[Intent, Variants]


@dataclass(frozen=True)
class Language:
    """Both registers, what a tone adds to an intent, and words by which an intent is known
    (beginnings of words in lower case)."""

    formal: Phrases
    informal: Phrases
    touches: Mapping[tuple[ResponseTone, Intent], str] = field(default_factory=dict)
    cues: Mapping[Intent, Variants] = field(default_factory=dict)


C, Q, P, R = Intent.COMPLAINT, Intent.QUESTION, Intent.PRAISE, Intent.REMARK
EMPATHETIC, ENTHUSIASTIC, HUMOROUS = (
    ResponseTone.EMPATHETIC,
    ResponseTone.ENTHUSIASTIC,
    ResponseTone.HUMOROUS,
)

ENGLISH = Language(
    formal=Phrases(
        ("Hello {name}.", "Good day, {name}."),
        {
            C: ("We are sorry about this experience.", "We regret that you had this experience."),
            Q: ("Thank you for your question.", "Thank you for asking."),
            P: ("Thank you very much for your kind words.", "We appreciate your kind words."),
            R: ("Thank you for mentioning us.", "Thank you for sharing this."),
        },
        {
            C: (
                "Please send us a direct message with the details, so that we can look into it.",
                "Would you please write to us directly, so that we can look at it closely?",
            ),
            Q: (
                "Please send us a direct message with a few details, so that we can help.",
                "Please write to us directly, so that we can answer for your case.",
            ),
            P: ("It is good to read this.", "Words like yours are an encouragement."),
            R: ("Should you have a question, please ask.", "We are here if you need anything."),
        },
    ),
    informal=Phrases(
        ("Hi {name}!", "Hey {name}!"),
        {
            C: ("We're really sorry about this.", "Sorry, that's not how it should be."),
            Q: ("Thanks for asking!", "Good question, thanks!"),
            P: ("Thank you so much!", "That's so kind of you, thank you!"),
            R: ("Thanks for the mention!", "Thanks for sharing this!"),
        },
        {
            C: (
                "Please send us a DM so we can look into it.",
                "Could you drop us a DM with the details?",
            ),
            Q: (
                "Drop us a DM with a few details so we can help.",
                "Send us a DM and let's take it from there.",
            ),
            P: ("You've made our day.", "Words like yours keep us going."),
            R: ("Any questions? Just ask.", "We're here if you need anything."),
        },
    ),
    touches={
        (EMPATHETIC, C): "We understand how frustrating this is.",
        (EMPATHETIC, Q): "We can see why you would like to know.",
        (ENTHUSIASTIC, P): "This is wonderful to read!",
        (ENTHUSIASTIC, R): "What a pleasure to see this!",
        (HUMOROUS, P): "If a whole team can blush, ours does.",
        (HUMOROUS, R): "Our ears were burning already.",
    },
    cues={
        C: ("broke", "broken", "disappoint", "terrible", "awful", "worst", "refund", "never again",
            "rude", "scam", "late", "delay", "doesn't work", "not working", "complain"),
        Q: ("how ", "when ", "where ", "why ", "what ", "who ", "which ", "can i ", "do you ",
            "is there ", "anyone know"),
        P: ("love", "great", "amazing", "beautiful", "thank", "best ", "awesome", "perfect",
            "recommend", "excellent", "congrat"),
    },
)  # fmt: skip

GERMAN = Language(
    formal=Phrases(
        ("Guten Tag {name},", "Hallo {name},"),
        {
            C: ("diese Erfahrung tut uns leid.", "wir bedauern, was Sie erlebt haben."),
            Q: ("vielen Dank für Ihre Frage.", "danke, dass Sie fragen."),
            P: ("herzlichen Dank für Ihre freundlichen Worte.", "Ihre Worte freuen uns sehr."),
            R: ("danke, dass Sie uns erwähnen.", "vielen Dank für Ihren Beitrag."),
        },
        {
            C: (
                "Bitte schreiben Sie uns eine Direktnachricht, damit wir der Sache nachgehen.",
                "Würden Sie uns die Einzelheiten bitte direkt schreiben?",
            ),
            Q: (
                "Bitte schreiben Sie uns eine Direktnachricht, damit wir Ihnen helfen können.",
                "Bitte schreiben Sie uns direkt, damit wir für Ihren Fall antworten können.",
            ),
            P: ("Das liest man gern.", "Solche Worte spornen an."),
            R: ("Bei Fragen schreiben Sie uns gern.", "Wir sind gern für Sie da."),
        },
    ),
    informal=Phrases(
        ("Hi {name}!", "Hallo {name}!"),
        {
            C: ("Das tut uns wirklich leid.", "Entschuldige, so sollte das nicht sein."),
            Q: ("Danke für deine Frage!", "Gute Frage, danke!"),
            P: ("Vielen lieben Dank!", "Das ist so nett von dir, danke!"),
            R: ("Danke fürs Erwähnen!", "Danke fürs Teilen!"),
        },
        {
            C: (
                "Schick uns bitte eine DM, dann schauen wir uns das an.",
                "Schreibst du uns die Einzelheiten per DM?",
            ),
            Q: (
                "Schick uns eine DM mit ein paar Einzelheiten, damit wir helfen können.",
                "Schreib uns eine DM, dann sehen wir weiter.",
            ),
            P: ("Du hast uns den Tag versüßt.", "Solche Worte spornen uns an."),
            R: ("Fragen? Immer gern.", "Wir sind da, wenn du etwas brauchst."),
        },
    ),
    touches={
        (EMPATHETIC, C): "Der Ärger ist verständlich.",
        (EMPATHETIC, Q): "Die Frage ist gut zu verstehen.",
        (ENTHUSIASTIC, P): "Wie schön, das zu lesen!",
        (ENTHUSIASTIC, R): "Was für eine Freude!",
        (HUMOROUS, P): "Wenn ein Team rot werden kann, dann gerade unseres.",
        (HUMOROUS, R): "Uns haben schon die Ohren geklingelt.",
    },
    cues={
        C: ("kaputt", "enttäusch", "schlecht", "furchtbar", "schlimm", "nie wieder", "ärger",
            "verspät", "unverschämt", "funktioniert nicht", "geht nicht", "beschwer", "betrug"),
        Q: ("wie ", "wann ", "wo ", "warum ", "was ", "wer ", "welche", "kann man ", "gibt es ",
            "habt ihr "),
        P: ("liebe ", "toll", "super", "großartig", "schön", "danke", "beste", "wunderbar",
            "empfehl", "perfekt", "klasse"),
    },
)  # fmt: skip

SPANISH = Language(
    formal=Phrases(
        ("Estimado/a {name}:", "Buenos días, {name}."),
        {
            C: ("Lamentamos esta experiencia.", "Sentimos mucho lo ocurrido."),
            Q: ("Gracias por su pregunta.", "Le agradecemos su consulta."),
            P: ("Muchas gracias por sus amables palabras.", "Agradecemos mucho sus palabras."),
            R: ("Gracias por mencionarnos.", "Gracias por compartirlo."),
        },
        {
            C: (
                "Envíenos, por favor, un mensaje directo con los detalles para revisarlo.",
                "¿Podría escribirnos directamente para que lo veamos con calma?",
            ),
            Q: (
                "Envíenos, por favor, un mensaje directo con algunos detalles para ayudarle.",
                "Escríbanos directamente para que podamos responder a su caso.",
            ),
            P: ("Es un placer leerlo.", "Palabras así nos animan."),
            R: ("Si tiene alguna pregunta, escríbanos.", "Estamos a su disposición."),
        },
    ),
    informal=Phrases(
        ("¡Hola, {name}!", "¡Hola {name}!"),
        {
            C: ("Lo sentimos mucho.", "Perdona, esto no debería ser así."),
            Q: ("¡Gracias por preguntar!", "¡Buena pregunta, gracias!"),
            P: ("¡Muchísimas gracias!", "¡Qué amable, gracias!"),
            R: ("¡Gracias por la mención!", "¡Gracias por compartirlo!"),
        },
        {
            C: (
                "Mándanos un mensaje directo para que lo revisemos.",
                "¿Nos escribes un mensaje directo con los detalles?",
            ),
            Q: (
                "Mándanos un mensaje directo con algunos detalles para ayudarte.",
                "Escríbenos un mensaje directo y lo vemos.",
            ),
            P: ("Nos has alegrado el día.", "Palabras así nos animan."),
            R: ("¿Preguntas? Aquí estamos.", "Estamos aquí para lo que necesites."),
        },
    ),
    touches={
        (EMPATHETIC, C): "Entendemos lo frustrante que es.",
        (ENTHUSIASTIC, P): "¡Qué alegría leer esto!",
        (HUMOROUS, P): "Si un equipo puede sonrojarse, es el nuestro.",
        (HUMOROUS, R): "Ya nos pitaban los oídos.",
    },
    cues={
        C: ("roto", "rota", "decepcion", "terrible", "horrible", "peor", "nunca más", "estafa",
            "retraso", "no funciona", "queja", "fatal"),
        Q: ("cómo ", "cuándo ", "dónde ", "por qué ", "qué ", "quién ", "cuál", "se puede ",
            "hay ", "tenéis ", "tienen "),
        P: ("encanta", "genial", "increíble", "precios", "gracias", "mejor", "maravill",
            "recomiend", "perfecto", "excelente"),
    },
)  # fmt: skip

FRENCH = Language(
    formal=Phrases(
        ("Bonjour {name},", "Bonjour {name},"),
        {
            C: ("nous regrettons cette expérience.", "nous sommes désolés de ce désagrément."),
            Q: ("merci pour votre question.", "merci de nous poser la question."),
            P: ("merci beaucoup pour vos mots aimables.", "vos mots nous font très plaisir."),
            R: ("merci de parler de nous.", "merci pour ce partage."),
        },
        {
            C: (
                "Veuillez nous envoyer un message privé avec les détails, afin que nous regardions"
                " cela.",
                "Pourriez-vous nous écrire directement, afin que nous regardions cela de près ?",
            ),
            Q: (
                "Veuillez nous envoyer un message privé, afin que nous puissions vous aider.",
                "Écrivez-nous directement, afin que nous puissions répondre à votre cas.",
            ),
            P: ("C'est un plaisir de vous lire.", "De tels mots encouragent."),
            R: ("Pour toute question, écrivez-nous.", "Nous restons à votre écoute."),
        },
    ),
    informal=Phrases(
        ("Salut {name} !", "Coucou {name} !"),
        {
            C: ("On est vraiment désolés.", "Désolés, ça ne devrait pas se passer comme ça."),
            Q: ("Merci pour ta question !", "Bonne question, merci !"),
            P: ("Merci mille fois !", "C'est trop gentil, merci !"),
            R: ("Merci pour la mention !", "Merci pour le partage !"),
        },
        {
            C: (
                "Envoie-nous un message privé pour qu'on regarde ça.",
                "Tu nous écris les détails en message privé ?",
            ),
            Q: (
                "Envoie-nous un message privé avec quelques détails pour qu'on t'aide.",
                "Écris-nous en message privé et on regarde ça.",
            ),
            P: ("Tu as illuminé notre journée.", "Des mots comme ça, ça encourage."),
            R: ("Des questions ? On est là.", "On est là si besoin."),
        },
    ),
    touches={
        (EMPATHETIC, C): "C'est frustrant, on le comprend.",
        (ENTHUSIASTIC, P): "Quel bonheur de lire ça !",
        (HUMOROUS, P): "Si une équipe peut rougir, c'est la nôtre.",
        (HUMOROUS, R): "On avait déjà les oreilles qui sifflent.",
    },
    cues={
        C: ("cassé", "déçu", "déception", "terrible", "horrible", "pire", "jamais plus", "arnaque",
            "retard", "ne marche pas", "fonctionne pas", "plainte", "nul"),
        Q: ("comment ", "quand ", "où ", "pourquoi ", "quel", "qui ", "est-ce ", "peut-on ",
            "avez-vous "),
        P: ("adore", "génial", "superbe", "magnifique", "merci", "meilleur", "merveill",
            "recommande", "parfait", "excellent", "bravo"),
    },
)  # fmt: skip

LANGUAGES: Mapping[str, Language] = {
    "en": ENGLISH,
    "de": GERMAN,
    "es": SPANISH,
    "fr": FRENCH,
}
