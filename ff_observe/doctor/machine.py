"""Checks of this machine and its files; no other machine is contacted."""

import os
import stat
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies

from ff_observe.config import declaration as key
from ff_observe.config.kinds import is_http_url
from ff_observe.config.public import is_loopback
from ff_observe.config.secret import MASK
from ff_observe.doctor.model import Check, Subject, error, note, warning
from ff_observe.outputs.ping.ledger_proof import verify
from ff_observe.problems import Finding
from ff_observe.system.presence import exists, is_directory
from ff_observe.system.trusted_path import trusted_directory
from ff_observe.web.web_config import read_web_config

RENEW_WITHIN: Final = timedelta(days=14)
EARLIEST_YEAR: Final = 2025


def _user(_subject: Subject) -> Iterator[Finding]:
    if os.geteuid() == 0:
        yield warning(
            "runs-as-root",
            "ff-observe runs as root",
            "It needs none of root's privileges.",
            "Run it as a user of its own: `User=` of the systemd unit, `user:` in compose, `runAsUser` in Kubernetes.",
        )


def _secrets(subject: Subject) -> Iterator[Finding]:
    """Of the files that hold secrets, those that every user of this machine can read."""
    for place in _files_with_secrets(subject):
        try:
            mode = place.stat().st_mode
            can_be_reached = all(above.stat().st_mode & stat.S_IXOTH for above in place.resolve().parents)
        except OSError:
            continue
        if mode & stat.S_IROTH and can_be_reached:
            yield warning(
                "secrets-readable",
                f"Every user of this machine can read the secrets in {place.name}",
                f"{place} has the mode {stat.S_IMODE(mode):04o}.",
                f"`chmod o= {place}`, with a group that FlowFuse and ff-observe share.",
            )


def _files_with_secrets(subject: Subject) -> list[Path]:
    origins = {value.origin.rsplit(":", 2)[0] for value in subject.settings.effective if value.shown == MASK}
    return sorted(Path(origin) for origin in origins if origin.startswith("/"))


def _home(subject: Subject) -> Iterator[Finding]:
    for directory in (subject.settings.home / "etc", subject.settings.home / "var"):
        if is_directory(directory) and not os.access(directory, os.R_OK | os.X_OK):
            yield error(
                "home-unreadable",
                "FlowFuse's home cannot be read",
                f"The user of ff-observe ({os.geteuid()}) may not enter {directory}.",
                f"Let a group of that user read it: `chmod g+rx {directory}`.",
            )


def _state(subject: Subject) -> Iterator[Finding]:
    directory = subject.settings.ping.state_directory
    if directory is None:
        return
    existing = directory
    while not exists(existing) and existing != existing.parent:
        existing = existing.parent
    if not is_directory(existing):
        yield error(
            "state-directory",
            "The directory for the bridge's state is a file",
            f"{existing} is not a directory.",
            f"Remove {existing}, or name another place with `{key.LEDGER.path}` or `STATE_DIRECTORY`.",
        )
        return
    reason = _state_refused(directory, existing)
    if reason is not None:
        yield error(
            "state-directory",
            "The bridge cannot keep its state",
            f"{reason}: {_without_state(subject)}.",
            f"Give it a directory of its own (`StateDirectory=`, a volume) and name it in `STATE_DIRECTORY`, or let "
            f"it, and no other user, write to {existing}.",
        )


def _state_refused(directory: Path, existing: Path) -> str | None:
    if not os.access(existing, os.W_OK | os.X_OK):
        return f"The user of ff-observe ({os.geteuid()}) may not write to {existing}"
    if existing == directory and os.geteuid() != 0:  # the bridge runs as another user than root
        try:
            with trusted_directory(directory):
                pass
        except OSError as refusal:
            return f"Nothing is kept in {refusal.filename}: {refusal.strerror}"
    return None


def _without_state(subject: Subject) -> str:
    ping = subject.settings.ping
    if ping.ledger_required:
        return f"no ping is sent without a ledger, as `{key.LEDGER_REQUIRED.path}` says"
    if ping.ledger is not None:
        return "pings are sent, and no ledger records them"
    return "after a restart, the bridge does not know when its last ping left"


def _ledger(subject: Subject) -> Iterator[Finding]:
    ledger = subject.settings.ping.ledger
    assert ledger is not None
    try:
        wrong = verify(ledger, subject.settings.ping.receipts)
    except OSError as failure:
        yield error(
            "ledger-unreadable",
            "The ledger of pings cannot be read",
            f"{ledger}: {failure.strerror}.",
            "Let the user of ff-observe own it.",
        )
        return
    if wrong:
        yield error(
            "ledger-damaged",
            "The ledger of pings was changed",
            f"{wrong[0]}.",
            "`ff-observe ping log --verify` names every place. Keep the file as evidence and begin a new one.",
        )


def _has_ledger(subject: Subject) -> bool:
    ledger = subject.settings.ping.ledger
    return ledger is not None and os.path.lexists(ledger)


def _versions(subject: Subject) -> Iterator[Finding]:
    if subject.versions.flowfuse() is None:
        yield warning(
            "flowfuse-version",
            "FlowFuse's version is not known",
            f"No package of FlowFuse's is installed below {subject.settings.home}; a container does not see it.",
            f"Name it in `{key.PLATFORM_VERSION.path}` or `FF_OBSERVE_FLOWFUSE_VERSION`: the tag of its image.",
        )
    refusal = subject.versions.node_refusal()
    if refusal is not None:
        yield note("nodejs-version", "The version of Node.js is not looked up", f"{refusal}.", "Name it there.")


def _clock(subject: Subject) -> Iterator[Finding]:
    now = subject.clock.now()
    if now.year < EARLIEST_YEAR:
        yield error(
            "clock",
            "This machine's clock is wrong",
            f"It says {now:%Y-%m-%d}: certificates, the licence and the day of the ping depend on it.",
            "Set it, and let NTP keep it: `timedatectl set-ntp true`.",
        )


def _certificates(subject: Subject) -> Iterator[Finding]:
    now = subject.clock.now()
    for place, used_for in _certificate_files(subject):
        from cryptography import x509

        try:
            certificates = x509.load_pem_x509_certificates(place.read_bytes())
        except (OSError, ValueError):
            continue  # its reader reports a file that cannot be used
        ends = min(certificate.not_valid_after_utc for certificate in certificates)
        fix = f"Renew it, and put the new one in the place of {place}: it is read again by itself, or with SIGHUP."
        if ends <= now:
            title = f"The certificate for {used_for} has expired"
            yield error("certificate-expired", title, f"{place} was valid until {ends:%Y-%m-%d}.", fix)
        elif ends - now <= RENEW_WITHIN:
            title = f"The certificate for {used_for} expires on {ends:%Y-%m-%d}"
            yield warning("certificate-expires", title, f"{place} is refused from then on.", fix)


def _certificate_files(subject: Subject) -> Iterator[tuple[Path, str]]:
    settings = subject.settings
    if settings.prometheus.web_config_file is not None:
        tls = read_web_config(settings.prometheus.web_config_file).tls
        if tls is not None:
            yield tls.cert_file, "the status page and the metrics"
    ca_file = getattr(settings.database, "ca_file", None)
    if ca_file is not None:
        yield ca_file, "PostgreSQL"
    if settings.otlp.certificate is not None:
        yield settings.otlp.certificate, "OTLP"


def _proxies(_subject: Subject) -> Iterator[Finding]:
    for scheme, proxy in sorted(getproxies().items()):
        if scheme not in ("http", "https", "all"):
            continue
        name = f"{scheme.upper()}_PROXY"
        if not is_http_url(proxy if "://" in proxy else f"http://{proxy}"):
            yield error(
                "proxy",
                f"{name} is no proxy that can be used",
                "The outputs that go through it fail.",
                f"Write http://HOST:PORT in {name}, or unset it; NO_PROXY names hosts that need none.",
            )


def _dsn(subject: Subject) -> Iterator[Finding]:
    """Its syntax is checked when the settings are read."""
    dsn = subject.settings.backend_sentry.dsn
    assert dsn is not None
    parts = urlsplit(dsn.reveal())
    if parts.password:
        yield note(
            "sentry-dsn-secret",
            "The Sentry DSN holds a secret that Sentry does not need",
            f"`{key.BACKEND_SENTRY_DSN.path}` has the old form https://HOST/PROJECT with KEY:SECRET@ before HOST.",
            "Leave `:SECRET` out.",
        )
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        yield warning(
            "sentry-dsn-plain",
            "Errors are sent to Sentry unencrypted",
            f"`{key.BACKEND_SENTRY_DSN.path}` begins with http://.",
            "Write https://, if that Sentry speaks TLS.",
        )


MACHINE: Final[tuple[Check, ...]] = (
    Check("user", "ff-observe runs as a user of its own", _user),
    Check("secrets", "No other user can read the secrets", _secrets),
    Check("home", "FlowFuse's home can be read", _home),
    Check("versions", "The versions of FlowFuse and Node.js are known, or looked up", _versions),
    Check("state-directory", "The state directory can be written to", _state),
    Check("ledger", "The ledger of pings is intact", _ledger, _has_ledger),
    Check("clock", "This machine's clock is plausible", _clock),
    Check("certificates", "No certificate expires soon", _certificates, lambda of: any(_certificate_files(of))),
    Check("proxy", "The proxies that the environment names can be used", _proxies, lambda _: bool(getproxies())),
    Check("sentry-dsn", "The Sentry DSN is well-formed", _dsn, lambda of: of.settings.backend_sentry.dsn is not None),
)
