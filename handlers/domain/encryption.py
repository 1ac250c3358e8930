"""The encryption of blocks, as Prefect 3.8.3 does it: Fernet, with a key from the environment or one that the database keeps."""

from typing import Any

import orjson
from cryptography.fernet import Fernet, InvalidToken
from psycopg import Connection

import sql
from handlers.errors import Conflict
from schemas.settings import setting
from sql.ids import uuid7

KEY = "ENCRYPTION_KEY"


def cipher(conn: Connection) -> Fernet:
    """Give what encrypts and decrypts; makes a key when there is none yet."""
    if key := setting("server.encryption_key"):
        return Fernet(key.encode())
    if (kept := sql.configuration.read(conn, key=KEY)) is None:
        sql.configuration.create.send(conn, id=uuid7(), key=KEY, value={"fernet_key": Fernet.generate_key().decode()})
        kept = sql.configuration.read(conn, key=KEY)
    return Fernet(kept["fernet_key"].encode())


def encrypt(fernet: Fernet, values: dict[str, Any]) -> str:
    """Give the text that holds values."""
    return fernet.encrypt(orjson.dumps(values)).decode()


def decrypt(fernet: Fernet, text: str) -> dict[str, Any]:
    """Give the values that a text holds. Raises Conflict if they were encrypted with another key."""
    try:
        return orjson.loads(fernet.decrypt(text.encode()))
    except InvalidToken:
        raise Conflict("The block was encrypted with another key than the server has.") from None
