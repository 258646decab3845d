"""What may be asked of posts."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, AnyHttpUrl, BeforeValidator, Field, TypeAdapter

from application.instants import Instant
from application.kernel import Command
from application.screens import ScreenedText
from application.social.optimisation import optimise
from domain.kernel import now
from domain.social.networks import Network, compose, preflight
from domain.social.posts import Outcome, Post

_url = TypeAdapter(AnyHttpUrl)


def _unique(items: list[str]) -> list[str]:
    return list(dict.fromkeys(items))


def _web_address(text: str) -> str:
    _url.validate_python(text)
    return text


def _bare(sign: str) -> AfterValidator:
    def strip(text: str) -> str:
        word = text.strip().removeprefix(sign)
        if not word or any(character.isspace() for character in word):
            raise ValueError(f"One word, with or without its {sign}")
        return word

    return AfterValidator(strip)


Networks = Annotated[
    list[Annotated[Network, BeforeValidator(lambda v: v.lower() if isinstance(v, str) else v)]],
    Field(min_length=1),
    AfterValidator(_unique),
]
WebAddress = Annotated[str, Field(max_length=2048), AfterValidator(_web_address)]
Hashtag = Annotated[str, Field(max_length=150), _bare("#")]
Mention = Annotated[str, Field(max_length=150), _bare("@")]


class CreatePost(Command):
    """Write a post and have it published now, or at `scheduled_for`."""

    content: Annotated[ScreenedText, Field(min_length=1, max_length=5000)]
    platforms: Networks
    media_urls: Annotated[list[WebAddress], Field(max_length=50)] | None = None
    scheduled_for: Instant | None = None
    hashtags: Annotated[list[Hashtag], Field(max_length=100), AfterValidator(_unique)] | None = None
    mentions: Annotated[list[Mention], Field(max_length=100), AfterValidator(_unique)] | None = None
    location: Annotated[ScreenedText, Field(max_length=200)] | None = None
    ai_optimize: bool = True

    def handle(self) -> Post:
        post = write(
            self.content,
            dict.fromkeys(self.platforms, self.content),
            media=self.media_urls or (),
            hashtags=self.hashtags or (),
            mentions=self.mentions or (),
            location=self.location,
            optimised=self.ai_optimize,
        )
        post.schedule(self.scheduled_for or now())
        return post


def write(
    content: str,
    contents: Mapping[Network, str],
    *,
    media: Sequence[str],
    hashtags: Sequence[str],
    mentions: Sequence[str],
    location: str | None,
    optimised: bool,
    of_campaign: bool = False,
) -> Post:
    """A draft of `content`, with what each network is to make its text of and has against it."""
    texts = {
        network: optimise(text, network, hashtags, mentions)
        if optimised
        else compose(text, hashtags, mentions)
        for network, text in contents.items()
    }
    return Post(
        content=content,
        networks=tuple(texts),
        texts=texts,
        optimised=optimised,
        media_urls=tuple(media),
        hashtags=tuple(hashtags),
        mentions=tuple(mentions),
        location=location,
        problems={
            network: tuple(found)
            for network, text in texts.items()
            if (found := preflight(network, text, media, hashtags, mentions))
        },
        of_campaign=of_campaign,
    )


class SchedulePost(Command):
    """Put a post on the publishing calendar, or move it."""

    scheduled_for: Instant

    def handle(self, post: Post) -> None:
        post.schedule(self.scheduled_for)


class WithdrawPost(Command):
    """Take a post back before it goes out."""

    reason: Annotated[ScreenedText, Field(max_length=500)] = ""

    def handle(self, post: Post) -> None:
        post.withdraw(self.reason)


class RetryPost(Command):
    """Publish again to the networks that refused it."""

    def handle(self, post: Post) -> None:
        post.retry()


class StartPublication(Command):
    """The scheduled instant has come: commit the intention before any network is called."""

    due: datetime

    def handle(self, post: Post) -> None:
        post.start_publication(self.due)


class RecordOutcomes(Command):
    """What the networks made of an attempt."""

    attempt: int
    outcomes: Mapping[Network, Outcome]

    def handle(self, post: Post) -> None:
        post.record(self.attempt, self.outcomes)
