"""What is set for a home, tried from here: its places for bytes, its ledger and its servers. Each is told before."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from components.errors import Refusal, Unreachable, refuse
from components.home import Home
from components.planning.ledger import Ledger
from components.settings import NEEDED_BY, settings_of
from components.store.address import bucket_and_prefix
from flows.doctor.finding import Finding, bad
from flows.doctor.probes import try_lease, try_place, try_prefect, try_record, try_server
from flows.servers.processes import HEALTH
from flows.servers.reaching import masked, remedy
from flows.servers.services import check_prefect, running
from flows.state import ledger_of


@dataclass(slots=True)
class Trials:
    """The looks that wait for answers. `tell` hears what is asked, for one that is silent takes its seconds."""

    tell: Callable[[str], object]
    _failed: str = ""  # the place for which S3 couldn't be reached

    def store(self, home: Home) -> Iterator[Finding]:
        """Try the store."""
        yield self._place("store", home, settings_of(home).store or str(home.store), setting="store")

    def dvc_remote(self, home: Home) -> Iterator[Finding]:
        """Try the DVC remote, where one is set."""
        if (address := settings_of(home).dvc_remote) is not None:
            yield self._place("dvc remote", home, address, setting="dvc_remote")

    def artifacts(self, home: Home) -> Iterator[Finding]:
        """Try the place of MLflow's artifacts, where one is set."""
        if (address := settings_of(home).mlflow_artifacts) is not None:
            yield self._place("mlflow artifacts", home, address, setting="mlflow_artifacts")

    def ledger(self, home: Home) -> Iterator[Finding]:
        """Look at the ledger, and take a lease there."""
        ledger = ledger_of(home)
        if ledger.database.exists():
            yield self._tried("ledger", home, lambda: f"{_records(ledger)}; {try_lease(ledger)}", setting="ledger")
        else:
            yield Finding(name="ledger", state="ok", detail="none yet")

    def prefect(self, home: Home) -> Iterator[Finding]:
        """Try Prefect's server and its login, where one is set or up."""
        settings, up = settings_of(home), running(home)
        url = settings.prefect_api_url or (None if up is None else up.prefect_api_url)
        if settings.prefect_api_url is None:
            check_prefect(home)
        if url is None:
            detail = "none is up: each run starts its own, and stops it; `steelyard up` keeps one"
            yield Finding(name="prefect server", state="ok", detail=detail)
        else:
            yield self._tried("prefect server", home, lambda: try_prefect(url, home), setting="prefect_api_url")

    def mlflow(self, home: Home) -> Iterator[Finding]:
        """Try MLflow's server, or look at its file. This enters MLflow's environment."""
        settings, up = settings_of(home), running(home)
        uri = settings.mlflow_tracking_uri or (None if up is None else up.mlflow_tracking_uri)
        if settings.mlflow_tracking_uri is None:
            from tasks.tracking.connecting import check

            check(home)
            detail = f"{home.mlflow_db}: sound" if home.mlflow_db.exists() else "none yet"
            yield Finding(name="mlflow database", state="ok", detail=detail)
        setting, health = "mlflow_tracking_uri", HEALTH["mlflow"]
        if uri is not None and uri.startswith("http"):
            do = remedy(settings, setting)
            answer = self._tried("mlflow server", home, lambda: try_server(uri, health=health, do=do), setting=setting)
            yield answer
            if answer.state == "bad":
                return
        if settings.mlflow_tracking_uri is not None:
            yield self._tried("mlflow run", home, lambda: try_record(home), setting=setting)

    def _place(self, name: str, home: Home, address: str, *, setting: str) -> Finding:
        """Try a folder, or a place in S3: there is one S3, and where it failed it isn't waited for again."""
        if self._failed and bucket_and_prefix(address) is not None:
            untried = refuse(f"not tried, since S3 failed for `{self._failed}`", where=address)
            return bad(name, untried, _needed(home, setting))

        def attempt() -> str:
            try:
                return try_place(address, home)
            except Unreachable:
                self._failed = name
                raise

        return self._tried(name, home, attempt, setting=setting)

    def _tried(self, name: str, home: Home, attempt: Callable[[], str], *, setting: str) -> Finding:
        """Return what an attempt came to; where it failed, with who needs the setting behind it, and its origin."""
        settings = settings_of(home)
        address = getattr(settings, setting)
        self.tell(f"trying {name}{'' if address is None else f', {masked(address)}'}")
        try:
            return Finding(name=name, state="ok", detail=f"{attempt()} (from {settings.origin(setting)})")
        except (Refusal, OSError) as error:
            return bad(name, error, _needed(home, setting))


def _needed(home: Home, setting: str) -> str:
    return f" ({setting}, from {settings_of(home).origin(setting)}, is needed by {NEEDED_BY[setting]})"


def _records(ledger: Ledger) -> str:
    ledger.database.check()
    ((records,),) = ledger.database.ask("SELECT count(*) FROM records")
    return f"{ledger.database.name}: sound, {records} results of stages"
