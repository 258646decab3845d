"""What `POST /posts` is measured against: the same body, checked the same way by FastAPI, and
then either one INSERT through an asynchronous psycopg pool, or nothing at all."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import uuid4

import uvicorn
from fastapi import FastAPI
from psycopg_pool import AsyncConnectionPool
from pydantic import BaseModel, Field


class PostIn(BaseModel):
    content: str = Field(min_length=1, max_length=5000)
    platforms: list[str]
    media_urls: list[str] | None = None
    scheduled_for: datetime | None = None
    hashtags: list[str] | None = None
    mentions: list[str] | None = None
    location: str | None = None
    ai_optimize: bool = True


class PostOut(BaseModel):
    success: bool
    post_id: str
    status: str
    platform_results: dict[str, dict[str, str]]
    scheduled_for: datetime | None
    created_at: datetime


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with AsyncConnectionPool(
        os.environ["BENCH_DATABASE_URL"], min_size=8, max_size=16, kwargs={"autocommit": True}
    ) as pool:
        async with pool.connection() as connection:
            await connection.execute(
                "CREATE TABLE IF NOT EXISTS plain_posts (id uuid PRIMARY KEY, content text,"
                " platforms text[], scheduled_for timestamptz, created_at timestamptz)"
            )
        app.state.pool = pool
        yield


app = FastAPI(lifespan=lifespan)


def answer(post: PostIn) -> PostOut:
    return PostOut(
        success=True,
        post_id=uuid4().hex,
        status="scheduled",
        platform_results={name: {"status": "pending"} for name in post.platforms},
        scheduled_for=post.scheduled_for,
        created_at=datetime.now(UTC),
    )


@app.post("/empty")
async def empty(post: PostIn) -> PostOut:
    return answer(post)


@app.post("/crud")
async def crud(post: PostIn) -> PostOut:
    result = answer(post)
    async with app.state.pool.connection() as connection:
        await connection.execute(
            "INSERT INTO plain_posts VALUES (%s, %s, %s, %s, %s)",
            (result.post_id, post.content, post.platforms, post.scheduled_for, result.created_at),
        )
    return result


if __name__ == "__main__":
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
