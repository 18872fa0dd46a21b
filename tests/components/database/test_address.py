import pytest

from components.database.address import Address, address_of
from components.errors import Refusal
from components.planning.ledger import ledger_at


def test_an_address_is_read_part_by_part() -> None:
    read = address_of("postgresql://jo%40home:p%2Fw%3F@db.example:5433/steel%20yard?sslmode=require\n")
    assert read == Address(
        database="steel yard",
        host="db.example",
        port=5433,
        user="jo@home",
        password="p/w?",
        options=(("sslmode", "require"),),
    )
    assert str(read) == "postgresql://jo%40home@db.example:5433/steel%20yard"


def test_what_an_address_leaves_out_is_left_to_the_driver() -> None:
    assert address_of("postgres:///db?host=/run/postgresql").options == (("host", "/run/postgresql"),)
    assert address_of("postgresql://[::1]/db") == Address(database="db", host="::1")
    assert str(address_of("postgresql://[::1]/db")) == "postgresql://[::1]/db"


@pytest.mark.parametrize(
    "text",
    [
        "ledger.db",
        "localhost:5432/hunter2",
        "mysql://u:hunter2@h/db",
        "postgresql:/u:hunter2@h/db",
        "postgresql+psycopg2://u:hunter2@h/db",
        "postgresql://u:hunter2@h",
        "postgresql://u:hunter2@h/",
        "postgresql://u:hunter2@h:port/db",
        "postgresql://u:hunter2@h:99999/db",
        "postgresql://u:hunter2@[h/db",
        "postgresql://u:hunter2/x@h/db",
        "postgresql://u:12/hunter2@h/db",
        "postgresql://u:hunter2#x@h/db",
        "postgresql://u:12?hunter2@h/db",
        "postgresql://u:12#hunter2@h/db",
        "postgresql://u@h/db?password=hunter2",
        "postgresql://u@h/db/more",
    ],
)
def test_a_malformed_address_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(Refusal) as refused:
        ledger_at(text)
    assert "allowed: " in str(refused.value)
    assert "hunter2" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_neither_text_nor_representation_of_an_address_has_its_password() -> None:
    read = address_of("postgresql://u:hunter2@h/db")
    assert "hunter2" not in f"{read} {read!r}"
    assert read.masked("the password hunter2 is wrong") == "the password *** is wrong"
    assert address_of("postgresql://u@h/db").masked("no password") == "no password"
